"""Streams: each keeps a window of images under way, and its next image leaves when a result has come."""

from __future__ import annotations

import itertools
import threading
import time
from collections import deque
from collections.abc import Iterator

from spyglass_cli.load.loads import StreamLoop
from spyglass_cli.load.recording import Record
from spyglass_cli.load.work import Work
from spyglass_client import Client, Failure
from spyglass_contract.errors import SpyglassError

# Before a stream that the server ended is opened again.
_PAUSE_SECONDS = 0.1


def run_stream_loop(client: Client, work: Work, load: StreamLoop, begin: float, end: float) -> Record:
    """Send images until `end`, and return those whose results came between `begin` and `end`.

    Both are times of `time.monotonic`. Each stream is a thread. A message's time counts from when the stream
    takes the image until its result is there; results come in the order of the images, so it includes the
    wait for slower ones before it. An error that ends a stream counts once; the stream is then opened again.
    """
    record, lock, numbers = Record(), threading.Lock(), itertools.count()

    def add(started: float, error: SpyglassError | None) -> None:
        now = time.monotonic()
        if begin <= now <= end:
            with lock:
                record.add(now - started, error)

    def call() -> None:
        while time.monotonic() < end:
            started: deque[float] = deque()

            def images(started: deque[float] = started) -> Iterator[int]:
                while time.monotonic() < end:
                    started.append(time.monotonic())
                    yield next(numbers)

            try:
                for result in work.streaming(client, images(), load.window):
                    add(started.popleft(), result.error if isinstance(result, Failure) else None)
            except SpyglassError as error:
                add(started[0] if started else time.monotonic(), error)
                time.sleep(_PAUSE_SECONDS)

    streams = [threading.Thread(target=call, daemon=True) for _ in range(load.streams)]
    for stream in streams:
        stream.start()
    for stream in streams:
        stream.join()
    return record
