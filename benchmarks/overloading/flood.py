"""One caller with many calls outstanding, or with one long stream."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass

import grpc

from measuring.outcomes import OK
from measuring.targets import GrpcTarget, own_channel
from measuring.window import Window

# As a client that obeys RetryInfo, a flood waits before it sends a refused call again.
_PAUSE_SECONDS = 0.2
_DEADLINE_SECONDS = 60.0


@dataclass(frozen=True)
class Flood:
    """`outstanding` calls at any time over `channels` connections, with these gRPC metadata."""

    target: GrpcTarget
    outstanding: int
    channels: int = 1
    metadata: tuple[tuple[str, str], ...] = ()


def run_flood(flood: Flood, window: Window) -> Counter[str]:
    """Keep the calls outstanding until the window ends; return the statuses of those that ended in it."""
    found: Counter[str] = Counter()
    lock = threading.Lock()
    refused: deque[tuple[float, int]] = deque()
    with ExitStack() as stack:
        channels = [stack.enter_context(own_channel(flood.target.address)) for _ in range(flood.channels)]
        methods = [channel.unary_unary(flood.target.method) for channel in channels]

        def send(number: int) -> None:
            method = methods[number % len(methods)]
            call = method.future(flood.target.payload, timeout=_DEADLINE_SECONDS, metadata=flood.metadata)
            call.add_done_callback(lambda ended: end(ended, number))

        def end(call: grpc.Future, number: int) -> None:
            now, code = time.monotonic(), call.code().name  # type: ignore[attr-defined]
            with lock:
                if window.begin <= now <= window.end:
                    found[code] += 1
            if now >= window.end:
                return
            if code == OK:
                # The channel may close at this moment, at the end of the window.
                with suppress(ValueError):
                    send(number)
            else:
                refused.append((now + _PAUSE_SECONDS, number))

        for number in range(flood.outstanding):
            send(number)
        while (now := time.monotonic()) < window.end:
            while refused and refused[0][0] <= now:
                send(refused.popleft()[1])
            time.sleep(0.01)
        # The end of the channels cancels what is outstanding.
        with lock:
            return Counter(found)


def run_stream_flood(flood: Flood, window: Window) -> Counter[str]:
    """Send images in one stream, `outstanding` ahead of the responses; return the messages in the window."""
    free = threading.Semaphore(flood.outstanding)
    found: Counter[str] = Counter()

    def requests() -> Iterator[bytes]:
        while time.monotonic() < window.end:
            if free.acquire(timeout=0.1):
                yield flood.target.payload

    with own_channel(flood.target.address) as channel:
        stream = channel.stream_stream(flood.target.method)(requests(), metadata=flood.metadata)
        try:
            for _ in stream:
                free.release()
                now = time.monotonic()
                if now > window.end:
                    break
                if now >= window.begin:
                    found[OK] += 1
        except grpc.RpcError as error:
            found[error.code().name] += 1  # type: ignore[attr-defined]
        stream.cancel()
    return found
