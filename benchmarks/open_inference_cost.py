"""Compare the processor time of the server for a request of the Open Inference Protocol and for a typed one.

One server gets the same image in turns, each round in another order: from `spyglass_client.Client`, from
`tritonclient`, and from callers of both protocols whose messages are made once. The ratio is that to the
typed call of the same kind of caller in the same round. Needs `tritonclient`, of the extra `tests`.

    python benchmarks/open_inference_cost.py [--rounds 11] [--seconds 2] [--concurrency 8] [--docs]
"""

from __future__ import annotations

import argparse
import statistics
import sys
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from comparing.rounds import Figures, measure
from comparing.variants import Served, classify_payload
from measuring.client_processes import ClientProcesses, client_processes
from measuring.docs_section import replace_section
from measuring.images import photo, tiny
from measuring.inference_targets import INFER, SpyglassTarget, TritonTarget, infer_payload
from measuring.machine import describe_machine, machine_line
from measuring.markdown import table
from measuring.process_tree import ProcessTree
from measuring.targets import CLASSIFY, GrpcTarget, Target
from measuring.window import Window
from serving_process import serving
from spyglass.v1.classify_pb2 import ClassifyRequest
from spyglass.v1.image_pb2 import Image, RawImage
from spyglass.v1.model_pb2 import ModelRef
from spyglass_server.engine.models.bundled import bundled_models

_WARM_UP_SECONDS = 0.4
_BATCH = 8
# Bytes of a file, or rows of pixels.
_SMALL = 4096


@dataclass(frozen=True)
class _Row:
    """A kind of request, and the one that it is compared with."""

    name: str
    target: Target
    against: str = ""
    images: int = 1


def main() -> int:
    """Print a table for each image."""
    options = _parse()
    parts = [
        f"{machine_line(describe_machine())}. Medians of {options.rounds} rounds of {options.seconds:g} s, "
        f"{options.concurrency} callers on the same cores as the server; ratio: with its quartiles over the "
        "rounds."
    ]
    flags = ("--models", str(bundled_models()), "--profile-seconds", "0", "--access-log", "false")
    pixels = np.random.default_rng(5).integers(0, 256, (28, 28, 1), np.uint8)
    with serving(*flags) as (address, process), client_processes(1) as clients:
        tree = ProcessTree(process.pid)
        for name, model, image in (
            ("PNG of 28×28, mnist-convnet", "mnist-convnet", tiny()),
            ("pixels of 28×28, mnist-convnet", "mnist-convnet", pixels),
            ("photograph of 500×375, imagenet", "imagenet", photo(500, 375)),
        ):
            rows = _rows(address, model, image)
            parts.append(f"{name}:\n\n{_table(rows, _measure(rows, tree, clients, options))}")
    text = "\n\n".join(parts)
    print(text)
    if options.docs:
        replace_section("open inference", text)
    return 0


def _rows(address: str, model: str, image: bytes | NDArray[np.uint8]) -> list[_Row]:
    client, typed = "`spyglass_client`, Classify", "prepared message, Classify"
    rows = [
        _Row(client, SpyglassTarget(address, model, image)),
        _Row("`tritonclient`, probabilities of all classes", TritonTarget(address, model, image), client),
        _Row("`tritonclient`, 5 classes with names", TritonTarget(address, model, image, 5), client),
        _Row(typed, GrpcTarget(address, CLASSIFY, _typed_payload(model, image))),
        _Row(
            "prepared message, ModelInfer", GrpcTarget(address, INFER, infer_payload(model, [image])), typed
        ),
    ]
    # Of larger images, a busy machine would refuse some: too much work would wait.
    if len(image) < _SMALL:
        rows.append(
            _Row(
                f"prepared message, ModelInfer of {_BATCH} images, for each image",
                GrpcTarget(address, INFER, infer_payload(model, [image] * _BATCH)),
                typed,
                _BATCH,
            )
        )
    return rows


def _typed_payload(model: str, image: bytes | NDArray[np.uint8]) -> bytes:
    if isinstance(image, bytes):
        return classify_payload(model, image)
    height, width, channels = image.shape
    raw = RawImage(height=height, width=width, channels=channels, data=image.tobytes())
    return ClassifyRequest(image=Image(raw=raw), model=ModelRef(name=model)).SerializeToString()


def _measure(
    rows: list[_Row], tree: ProcessTree, clients: ClientProcesses, options: argparse.Namespace
) -> dict[str, list[Figures]]:
    found: dict[str, list[Figures]] = {row.name: [] for row in rows}
    for _ in range(options.rounds):
        rows = [*rows[1:], rows[0]]
        for row in rows:
            window = Window.soon(_WARM_UP_SECONDS, options.seconds)
            served = Served(tree, row.target, lambda body: {})
            figures = measure(served, clients, options.concurrency, window)
            if figures.failed:
                raise RuntimeError(f"{row.name}: {figures.failed} calls failed")
            found[row.name].append(figures)
    return found


def _table(rows: list[_Row], found: dict[str, list[Figures]]) -> str:
    lines = []
    for row in rows:
        rounds = found[row.name]
        against = found[row.against or row.name]
        ratios = [
            each.cpu_ms / row.images / other.cpu_ms for each, other in zip(rounds, against, strict=True)
        ]
        lines.append(
            [
                row.name,
                f"{statistics.median(each.cpu_ms / row.images for each in rounds):.3f} ms",
                _quartiles(ratios),
                f"{statistics.median(each.per_second * row.images for each in rounds):,.0f}/s",
                f"{statistics.median(each.p50_ms for each in rounds):.2f} ms",
            ]
        )
    return table(["request", "processor time of the server", "ratio", "images", "p50"], lines)


def _quartiles(ratios: list[float]) -> str:
    low, middle, high = statistics.quantiles(ratios, n=4)
    return f"{middle:.3f} ({low:.3f} to {high:.3f})"


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--concurrency", type=int, default=8)
    parser.add_argument("--docs", action="store_true", help="write the tables into docs/performance.md")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
