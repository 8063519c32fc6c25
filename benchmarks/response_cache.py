"""Measure what the response cache saves if an image comes again, and what it costs if none does.

First in this process, without gRPC: the processor time of requests that are made one by one and by turns.
This is exact enough to see some microseconds. Then on two servers, of which one has a cache, under load.

    python benchmarks/response_cache.py [--rounds 9] [--seconds 2] [--concurrency 8] [--docs] 2> /dev/null
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass

from google.protobuf.message import Message

from comparing.rounds import Figures, measure
from comparing.variants import Served
from measuring.by_turns import times_by_turns
from measuring.client_processes import ClientProcesses, client_processes
from measuring.docs_section import replace_section
from measuring.images import photo, tiny
from measuring.machine import describe_machine, machine_line
from measuring.markdown import table
from measuring.new_images import MARK, NewImageTarget
from measuring.process_tree import ProcessTree
from measuring.targets import CLASSIFY, GrpcTarget, Target
from measuring.window import Window
from serving_process import serving
from spyglass.v1.classify_pb2 import ClassifyRequest
from spyglass.v1.heatmap_pb2 import HEATMAP_FORMAT_PNG_OVERLAY, HeatmapRequest
from spyglass.v1.image_pb2 import Image
from spyglass.v1.model_pb2 import ModelRef
from spyglass_server import LocalTransport, local_transport
from spyglass_server.engine.models.bundled import bundled_models

_CACHE_BYTES = 64 * 1024 * 1024
_WARM_UP_SECONDS = 0.5
_WITHOUT, _MISS, _HIT = "no cache", "cache, a new image each time", "cache, the same image"


@dataclass(frozen=True)
class _Case:
    name: str
    method: str
    request: ClassifyRequest | HeatmapRequest
    # Requests of each kind in this process.
    calls: int


def main() -> int:
    """Print a table of this process, and one of the servers."""
    options = _parse()
    cases = _cases()
    alone = [row for case in cases for row in _rows_in_process(case)]
    loaded = _rows_of_servers(cases, options)
    text = "\n\n".join(
        [
            f"{machine_line(describe_machine())}.",
            f"In this process, without gRPC; medians of {min(case.calls for case in cases)} to "
            f"{max(case.calls for case in cases)} requests of each kind, by turns:",
            table(["request", "", "processor time", "ratio", "more"], alone),
            f"Servers with {options.concurrency} callers on the same cores; medians of {options.rounds} "
            f"rounds of {options.seconds:g} s:",
            table(["request", "", "processor time", "ratio"], loaded),
        ]
    )
    print(text)
    if options.docs:
        replace_section("response cache", text)
    return 0


def _cases() -> list[_Case]:
    def sent(image: bytes, model: str) -> dict[str, object]:
        return {"image": Image(encoded=image + MARK), "model": ModelRef(name=model)}

    overlay = HeatmapRequest(format=HEATMAP_FORMAT_PNG_OVERLAY, **sent(photo(1024, 683), "imagenet"))
    return [
        _Case("PNG of 28×28", CLASSIFY, ClassifyRequest(**sent(tiny(), "mnist-convnet")), 3000),
        _Case("photograph of 500×375", CLASSIFY, ClassifyRequest(**sent(photo(500, 375), "imagenet")), 400),
        _Case("PNG of 1 MB with a heatmap", "/spyglass.v1.Vision/Heatmap", overlay, 100),
    ]


def _rows_in_process(case: _Case) -> list[list[str]]:
    method = case.method.rpartition("/")[2]

    def same(transport: LocalTransport) -> Callable[[], Message]:
        return lambda: transport.send(method, case.request, None)

    def new(transport: LocalTransport) -> Callable[[], Message]:
        request = type(case.request)()
        request.CopyFrom(case.request)
        image = case.request.image.encoded

        def send() -> Message:
            request.image.encoded = image + os.urandom(8)
            return transport.send(method, request, None)

        return send

    with (
        closing(local_transport()) as plain,
        closing(local_transport(response_cache_bytes=_CACHE_BYTES)) as caching,
    ):
        calls = {_WITHOUT: new(plain), _MISS: new(caching), _HIT: same(caching)}
        times_by_turns(calls, max(case.calls // 10, 3))
        found = times_by_turns(calls, case.calls)
    medians = {name: statistics.median(times) for name, times in found.items()}
    return [
        [
            case.name,
            name,
            f"{median:.3f} ms",
            f"{median / medians[_WITHOUT]:.3f}",
            f"{(median - medians[_WITHOUT]) * 1000:+.0f} µs" if name == _MISS else "",
        ]
        for name, median in medians.items()
    ]


def _rows_of_servers(cases: list[_Case], options: argparse.Namespace) -> list[list[str]]:
    flags = ("--models", str(bundled_models()), "--profile-seconds", "0", "--access-log", "false")
    rows = []
    with ExitStack() as stack:
        plain = stack.enter_context(serving(*flags))
        caching = stack.enter_context(serving(*flags, "--response-cache-bytes", str(_CACHE_BYTES)))
        clients = stack.enter_context(client_processes(1))
        for case in cases:
            payload = case.request.SerializeToString()
            targets: dict[str, tuple[int, Target]] = {
                _WITHOUT: (plain[1].pid, NewImageTarget(plain[0], case.method, payload)),
                _MISS: (caching[1].pid, NewImageTarget(caching[0], case.method, payload)),
                _HIT: (caching[1].pid, GrpcTarget(caching[0], case.method, payload)),
            }
            served = {
                name: Served(ProcessTree(pid), target, lambda body: {})
                for name, (pid, target) in targets.items()
            }
            rows += _rows_of(case.name, _measure(served, clients, options))
    return rows


def _measure(
    served: dict[str, Served], clients: ClientProcesses, options: argparse.Namespace
) -> dict[str, list[Figures]]:
    found: dict[str, list[Figures]] = {name: [] for name in served}
    names = list(served)
    for _ in range(options.rounds):
        names = [*names[1:], names[0]]
        for name in names:
            window = Window.soon(_WARM_UP_SECONDS, options.seconds)
            figures = measure(served[name], clients, options.concurrency, window)
            if figures.failed:
                raise RuntimeError(f"{name}: {figures.failed} calls failed")
            found[name].append(figures)
    return found


def _rows_of(case: str, found: dict[str, list[Figures]]) -> list[list[str]]:
    rows = []
    for name, rounds in found.items():
        ratios = [each.cpu_ms / plain.cpu_ms for each, plain in zip(rounds, found[_WITHOUT], strict=True)]
        rows.append(
            [
                case,
                name,
                f"{statistics.median(each.cpu_ms for each in rounds):.3f} ms",
                f"{statistics.median(ratios):.3f}",
            ]
        )
    return rows


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--concurrency", type=int, default=8)
    parser.add_argument("--docs", action="store_true", help="write the tables into docs/performance.md")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
