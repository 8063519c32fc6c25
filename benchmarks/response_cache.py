"""Measure what the response cache saves if an image comes again, and what it costs if none does.

A server without a cache runs beside one with it. Each round loads them in turn, each time in another order:
with images that are all different (every one a miss), and the server with a cache with one image (a hit). The
ratios are those to the server without a cache in the same round.

    python benchmarks/response_cache.py [--rounds 7] [--seconds 3] [--concurrency 8] [--docs] 2> /dev/null
"""

from __future__ import annotations

import argparse
import statistics
import sys
from contextlib import ExitStack
from dataclasses import dataclass

from comparing.rounds import Figures, measure
from comparing.variants import Served
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
from spyglass_server.engine.models.bundled import bundled_models

_HEATMAP = "/spyglass.v1.Vision/Heatmap"
_CACHE_BYTES = 64 * 1024 * 1024
_WARM_UP_SECONDS = 0.5
_WITHOUT, _MISS, _HIT = "no cache", "cache, a new image each time", "cache, the same image"


@dataclass(frozen=True)
class _Case:
    name: str
    method: str
    request: ClassifyRequest | HeatmapRequest


def main() -> int:
    """Print a table for each kind of request."""
    options = _parse()
    parts = [
        f"{machine_line(describe_machine())}. Medians of {options.rounds} rounds of {options.seconds:g} s, "
        f"{options.concurrency} callers on the same cores as the servers; ratio: its range over the rounds."
    ]
    flags = ("--models", str(bundled_models()), "--profile-seconds", "0", "--access-log", "false")
    with ExitStack() as stack:
        plain = stack.enter_context(serving(*flags))
        caching = stack.enter_context(serving(*flags, "--response-cache-bytes", str(_CACHE_BYTES)))
        clients = stack.enter_context(client_processes(1))
        for case in _cases():
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
            parts.append(f"{case.name}:\n\n{_table(_measure(served, clients, options))}")
    text = "\n\n".join(parts)
    print(text)
    if options.docs:
        replace_section("response cache", text)
    return 0


def _cases() -> list[_Case]:
    def sent(image: bytes, model: str) -> dict[str, object]:
        return {"image": Image(encoded=image + MARK), "model": ModelRef(name=model)}

    overlay = HeatmapRequest(format=HEATMAP_FORMAT_PNG_OVERLAY, **sent(photo(1024, 683), "imagenet"))
    return [
        _Case("PNG of 28×28, mnist-convnet", CLASSIFY, ClassifyRequest(**sent(tiny(), "mnist-convnet"))),
        _Case(
            "photograph of 500×375, imagenet",
            CLASSIFY,
            ClassifyRequest(**sent(photo(500, 375), "imagenet")),
        ),
        _Case("heatmap drawn over a photograph of 1024×683, a PNG of about 1 MB", _HEATMAP, overlay),
    ]


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


def _table(found: dict[str, list[Figures]]) -> str:
    rows = []
    for name, rounds in found.items():
        ratios = [each.cpu_ms / plain.cpu_ms for each, plain in zip(rounds, found[_WITHOUT], strict=True)]
        rows.append(
            [
                name,
                f"{statistics.median(each.cpu_ms for each in rounds):.3f} ms",
                f"{statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})",
                f"{statistics.median(each.per_second for each in rounds):,.0f}/s",
                f"{statistics.median(each.p50_ms for each in rounds):.2f} ms",
                f"{statistics.median(each.p99_ms for each in rounds):.2f} ms",
            ]
        )
    return table(["server", "processor time of a request", "ratio", "requests", "p50", "p99"], rows)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--concurrency", type=int, default=8)
    parser.add_argument("--docs", action="store_true", help="write the tables into docs/performance.md")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
