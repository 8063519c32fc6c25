"""One stream of a client process: a window of images under way, and the time of each message."""

from __future__ import annotations

import threading
import time
from array import array
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import grpc
import numpy as np

from measuring.calls import Calls
from measuring.closed_loop import cpu_within
from measuring.targets import own_channel
from measuring.window import Window, wait_until
from spyglass.v1.classify_pb2 import ClassifyRequest, ClassifyResponse


@dataclass(frozen=True)
class StreamTarget:
    """A bidirectional method of messages with an `index`, `under_way` for each caller it stands for."""

    address: str
    method: str
    payload: bytes
    under_way: int = 4


def run_stream(target: StreamTarget, callers: int, window: Window) -> Calls:
    """Send images until the window ends; return those answered in the window.

    A message's time counts from when it is handed to gRPC.
    """
    free = threading.Semaphore(target.under_way * callers)
    sent: list[float] = []

    def requests() -> Iterator[bytes]:
        wait_until(window.start)
        while True:
            free.acquire()
            if time.monotonic() >= window.end:
                return
            sent.append(time.monotonic())
            # Fields may follow each other in any order, so the index is appended.
            yield target.payload + ClassifyRequest(index=len(sent) - 1).SerializeToString()

    found: tuple[array[float], Counter[str]] = (array("d"), Counter())
    with own_channel(target.address) as channel:
        stream = channel.stream_stream(target.method)(requests())
        reader = threading.Thread(target=_read, args=(stream, free, sent, window, *found))
        reader.start()
        cpu_seconds = cpu_within(window)
        reader.join()
    return Calls(np.array(found[0]), found[1], cpu_seconds)


def _read(
    stream: Iterator[bytes],
    free: threading.Semaphore,
    sent: list[float],
    window: Window,
    latencies: array[float],
    failures: Counter[str],
) -> None:
    try:
        for body in stream:
            now = time.monotonic()
            free.release()
            response = ClassifyResponse.FromString(body)
            if not window.begin <= now <= window.end:
                continue
            if response.HasField("error"):
                failures[str(response.error.code)] += 1
            else:
                latencies.append(now - sent[response.index])
    except grpc.RpcError as error:
        failures[error.code().name] += 1  # type: ignore[attr-defined]
