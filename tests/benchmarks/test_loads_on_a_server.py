"""The loads of the benchmarks against a gRPC server whose times and refusals are known."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
import numpy as np
import pytest

from measuring.closed_loop import run_closed_loop
from measuring.stream_loop import StreamTarget, run_stream
from measuring.targets import CLASSIFY, CLASSIFY_STREAM, GrpcTarget
from measuring.window import Window
from overloading.flood import Flood, run_flood
from overloading.open_loop import OpenLoop, run_open_loop
from spyglass.v1.classify_pb2 import ClassifyRequest, ClassifyResponse

PERMITS, SECONDS = 4, 0.05


class Slow(grpc.GenericRpcHandler):
    """Answers after `SECONDS`, and refuses calls beyond `PERMITS` at a time."""

    def __init__(self) -> None:
        self.permits = threading.Semaphore(PERMITS)
        self.most = 0

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        if details.method == CLASSIFY_STREAM:
            return grpc.stream_stream_rpc_method_handler(self.stream)
        return grpc.unary_unary_rpc_method_handler(self.unary)

    def unary(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        if not self.permits.acquire(blocking=False):
            context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "full")
        try:
            time.sleep(SECONDS)
        finally:
            self.permits.release()
        return ClassifyResponse().SerializeToString()

    def stream(self, requests: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
        for request in requests:
            time.sleep(0.01)
            yield ClassifyResponse(index=ClassifyRequest.FromString(request).index).SerializeToString()


@pytest.fixture
def target() -> Iterator[GrpcTarget]:
    server = grpc.server(ThreadPoolExecutor(16))
    server.add_generic_rpc_handlers((Slow(),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield GrpcTarget(f"localhost:{port}", CLASSIFY, ClassifyRequest().SerializeToString())
    server.stop(None).wait()


@pytest.mark.slow
def test_a_closed_loop_counts_the_calls_of_its_window(target: GrpcTarget) -> None:
    found = run_closed_loop(target, 2, Window.soon(0.1, 0.4))
    assert not found.failures
    # Two callers of 20 calls a second each; fewer on a busy machine.
    assert 4 <= len(found.latencies) <= 18
    assert found.latencies.min() >= SECONDS - 0.001


def test_a_closed_loop_counts_refusals_as_failures(target: GrpcTarget) -> None:
    found = run_closed_loop(target, PERMITS + 4, Window.soon(0.1, 0.3))
    assert found.failures["RESOURCE_EXHAUSTED"] > 0
    assert len(found.latencies) > 0


@pytest.mark.slow
def test_an_open_loop_sends_beyond_the_capacity_and_tells_refusals_from_answers(target: GrpcTarget) -> None:
    # The capacity is 80 calls a second.
    found = run_open_loop(target, OpenLoop(300, 1.0, 2, 0), Window.soon(0.1, 0.5))
    answered, refused = found.codes == "OK", found.codes == "RESOURCE_EXHAUSTED"
    assert 90 <= len(found.codes) <= 220
    assert answered.any() and refused.any()
    assert np.all(found.waited >= found.taken)
    assert found.taken[answered].min() >= SECONDS - 0.001
    assert np.median(found.taken[refused]) < SECONDS
    assert found.retry_shares == {"RESOURCE_EXHAUSTED": 0.0}


def test_a_stream_measures_each_message(target: GrpcTarget) -> None:
    stream = StreamTarget(target.address, CLASSIFY_STREAM, target.payload, under_way=1)
    found = run_stream(stream, 1, Window.soon(0.1, 0.3))
    assert not found.failures
    assert 5 <= len(found.latencies) <= 31
    assert found.latencies.min() >= 0.009


@pytest.mark.slow
def test_a_flood_keeps_its_calls_outstanding_and_ends_with_its_window(target: GrpcTarget) -> None:
    started = time.monotonic()
    found = run_flood(Flood(target, outstanding=8, channels=2), Window.soon(0.1, 0.5))
    assert found["OK"] > 4
    assert found["RESOURCE_EXHAUSTED"] > 0
    assert time.monotonic() - started < 5
