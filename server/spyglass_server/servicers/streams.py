"""Many images over one call: answered side by side, replied to as they are ready."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from contextvars import copy_context
from dataclasses import dataclass
from queue import SimpleQueue
from threading import Event, Semaphore, Thread
from typing import TypeVar

Request = TypeVar("Request")
Reply = TypeVar("Reply")


@dataclass(frozen=True)
class _End:
    """No more requests will come; so many came."""

    count: int


def answer_stream(
    requests: Iterator[Request], answer: Callable[[Request], Reply], *, window: int
) -> Iterator[Reply]:
    """Yields the reply to each of `requests`, in the order they get ready.

    At most `window` requests are read and not yet replied to: a caller that does not read its replies is not
    read from either, so memory stays bounded. `answer` runs on the stream's own threads and must not raise.
    """
    ready: SimpleQueue[Reply | _End] = SimpleQueue()
    slots, stopped, context = Semaphore(window), Event(), copy_context()

    def read() -> None:
        count = 0
        # StopIteration, or gRPC's bare Exception where the caller is gone: nothing is left to read.
        with suppress(Exception):
            while slots.acquire() and not stopped.is_set():
                request = next(requests)
                pool.submit(context.copy().run, lambda asked=request: ready.put(answer(asked)))
                count += 1
        ready.put(_End(count))

    with ThreadPoolExecutor(window, "stream") as pool:
        reader = Thread(target=read, name="stream-reader", daemon=True)
        reader.start()
        try:
            yield from _replies(ready, slots)
        finally:
            stopped.set()
            slots.release()
            reader.join()


def _replies(ready: SimpleQueue[Reply | _End], slots: Semaphore) -> Iterator[Reply]:
    replied, total = 0, -1
    while replied != total:
        item = ready.get()
        if isinstance(item, _End):
            total = item.count
            continue
        yield item
        replied += 1
        slots.release()
