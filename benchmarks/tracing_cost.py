"""Measure what traces cost the server, in processor time for each request.

Three servers run side by side: without traces, with 1 % and with 100 % of the requests traced. Each round
loads them in turn, each time in another order; the collector is in this process. Then the steps alone: the
begin and the end of a request that is not traced, of one whose caller does not trace it, and of one that is
traced.

    python benchmarks/tracing_cost.py [--rounds 5] [--seconds 4] [--concurrency 8] [--docs]
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc

from comparing.rounds import Load, processor_times
from comparing.variants import Served, classify_payload
from measuring.client_processes import client_processes
from measuring.docs_section import replace_section
from measuring.images import tiny
from measuring.machine import describe_machine, machine_line
from measuring.process_tree import ProcessTree
from measuring.targets import CLASSIFY, GrpcTarget
from serving_process import serving
from spyglass_server.engine.models.bundled import bundled_models
from spyglass_server.engine.observation import Metadata, Observation
from spyglass_server.observing.open_tracing import open_tracing

_SAMPLES = {"off": None, "1 %": "0.01", "100 %": "1"}
_REPEATS = 20_000
_PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7"


class Collector(trace_service_pb2_grpc.TraceServiceServicer):
    """Receives traces and keeps nothing."""

    def Export(
        self, request: object, context: grpc.ServicerContext
    ) -> trace_service_pb2.ExportTraceServiceResponse:
        """Accept all spans."""
        return trace_service_pb2.ExportTraceServiceResponse()


def main() -> int:
    """Print the medians of each server, and those of its ratio to the one without traces."""
    parser = argparse.ArgumentParser(description="Measure what traces cost the server.")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--concurrency", type=int, default=8)
    parser.add_argument("--docs", action="store_true", help="write the tables into docs/performance.md")
    options = parser.parse_args()
    conditions = (
        f"{machine_line(describe_machine())}. Medians of {options.rounds} rounds of {options.seconds:g} s, "
        f"{options.concurrency} callers, PNG of 28×28, on the same cores as the servers."
    )
    collector = grpc.server(ThreadPoolExecutor(2))
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(Collector(), collector)
    endpoint = f"http://localhost:{collector.add_insecure_port('localhost:0')}"
    collector.start()
    load = Load("PNG of 28×28", "mnist-convnet", tiny())
    text = "\n\n".join([conditions, _servers(load, endpoint, options), _steps(endpoint)])
    collector.stop(0).wait()
    print(text)
    if options.docs:
        replace_section("traces", text)
    return 0


def _servers(load: Load, endpoint: str, options: argparse.Namespace) -> str:
    with ExitStack() as stack:
        served = {}
        for name, sample in _SAMPLES.items():
            flags = () if sample is None else ("--tracing-endpoint", endpoint, "--tracing-sample", sample)
            address, process = stack.enter_context(serving("--models", str(bundled_models()), *flags))
            target = GrpcTarget(address, CLASSIFY, classify_payload(load.model, load.image))
            served[name] = Served(ProcessTree(process.pid), target, lambda body: {})
        clients = stack.enter_context(client_processes(1))
        found = processor_times(served, clients, options.concurrency, options.rounds, options.seconds)
    lines = ["| traced | processor time of the server for a request, µs | ratio |", "|---|---|---|"]
    for name, costs in found.items():
        ratios = [cost / off for cost, off in zip(costs, found["off"], strict=True)]
        lines.append(
            f"| {name} | {_microseconds_of(statistics.median(costs))} "
            f"({_microseconds_of(min(costs))} to {_microseconds_of(max(costs))}) "
            f"| {statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f}) |"
        )
    return "\n".join(lines)


def _microseconds_of(milliseconds: float) -> str:
    return f"{milliseconds * 1000:.0f}"


def _steps(endpoint: str) -> str:
    traced: Metadata = (("user-agent", "x"), ("traceparent", f"{_PARENT}-01"))
    unsampled: Metadata = (("user-agent", "x"), ("traceparent", f"{_PARENT}-00"))
    tracing = open_tracing(endpoint, 0.0)
    assert tracing

    def once(metadata: Metadata) -> Callable[[], None]:
        def run() -> None:
            observation = Observation("/spyglass.v1.Vision/Classify", "order-7", metadata)
            tracing.begin(observation)
            now = time.monotonic()
            observation.queued = observation.decode_started = observation.inference_started = now
            observation.encode_started = observation.ended = now
            observation.code = "OK"
            tracing(observation)

        return run

    plain = _microseconds(lambda: Observation("/spyglass.v1.Vision/Classify", "order-7", ()))
    lines = ["| begin and end of a request alone | processor time, µs |", "|---|---|"]
    cases = {"not traced": (), "not traced by its caller": unsampled, "traced": traced}
    for name, metadata in cases.items():
        lines.append(f"| {name} | {_microseconds(once(metadata)) - plain:.1f} |")
    tracing.close(1.0)
    return "\n".join(lines)


def _microseconds(once: Callable[[], object]) -> float:
    started = time.thread_time()
    for _ in range(_REPEATS):
        once()
    return (time.thread_time() - started) / _REPEATS * 1e6


if __name__ == "__main__":
    sys.exit(main())
