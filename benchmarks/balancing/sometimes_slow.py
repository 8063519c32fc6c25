"""A gRPC server in a process of its own that takes long for a part of its requests."""

from __future__ import annotations

import multiprocessing
import random
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import grpc

from spyglass.v1.classify_pb2 import ClassifyRequest, ClassifyResponse
from spyglass.v1.reply_pb2 import ClassScore
from spyglass.v1.vision_pb2_grpc import VisionServicer, add_VisionServicer_to_server

SHORT_SECONDS = 0.01
LONG_SECONDS = 0.3

_THREADS = 64
_START_SECONDS = 30


@dataclass(frozen=True)
class Running:
    """A server: its address, and the number of requests that it has begun."""

    address: str
    begun: Any


@contextmanager
def sometimes_slow(parts: tuple[float, ...]) -> Iterator[list[Running]]:
    """Start a server for each of `parts`, the part of its requests in [0, 1] that takes long."""
    context = multiprocessing.get_context("spawn")
    with ExitStack() as stack:
        running = []
        for part in parts:
            receiving, sending = context.Pipe(duplex=False)
            begun = context.Value("i", 0)
            process = context.Process(target=_serve, args=(part, begun, sending), daemon=True)
            process.start()
            stack.callback(process.kill)
            if not receiving.poll(_START_SECONDS):
                raise RuntimeError(f"a server did not start within {_START_SECONDS} s")
            running.append(Running(f"127.0.0.1:{receiving.recv()}", begun))
        yield running


class _SometimesSlow(VisionServicer):
    def __init__(self, part: float, begun: Any) -> None:
        self._part = part
        self._begun = begun

    def Classify(self, request: ClassifyRequest, context: grpc.ServicerContext) -> ClassifyResponse:
        with self._begun.get_lock():
            self._begun.value += 1
        time.sleep(LONG_SECONDS if random.random() < self._part else SHORT_SECONDS)
        return ClassifyResponse(id=request.id, classes=[ClassScore(index=0, name="cat", score=1.0)])


def _serve(part: float, begun: Any, sending: Any) -> None:
    server = grpc.server(ThreadPoolExecutor(_THREADS))
    add_VisionServicer_to_server(_SometimesSlow(part, begun), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    sending.send(port)
    server.wait_for_termination()
