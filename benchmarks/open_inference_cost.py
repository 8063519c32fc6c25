"""Compare the processor time of the server for a request of the Open Inference Protocol and for a typed one.

One server gets the same image in turns, each round in another order: from `spyglass_client.Client`, from
`tritonclient`, and from callers of both protocols whose messages are made once. The ratio is that to the
typed call of the same kind of caller in the same round. Needs `tritonclient`, of the extra `tests`.

    python benchmarks/open_inference_cost.py [--rounds 11] [--seconds 2] [--concurrency 8] [--docs]
"""

from __future__ import annotations

import argparse
import sys

import numpy as np
from numpy.typing import NDArray

from comparing.protocols import Row, measure_in_turns, table_of, typed_payload
from measuring.client_processes import client_processes
from measuring.docs_section import replace_section
from measuring.images import photo, tiny
from measuring.inference_targets import INFER, SpyglassTarget, TritonTarget, infer_payload
from measuring.machine import describe_machine, machine_line
from measuring.process_tree import ProcessTree
from measuring.targets import CLASSIFY, GrpcTarget
from serving_process import serving
from spyglass_server.engine.models.bundled import bundled_models

_BATCH = 8
# Bytes of a file, or rows of pixels.
_SMALL = 4096


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
            found = measure_in_turns(
                rows,
                tree,
                clients,
                rounds=options.rounds,
                seconds=options.seconds,
                concurrency=options.concurrency,
            )
            parts.append(f"{name}:\n\n{table_of(rows, found)}")
    text = "\n\n".join(parts)
    print(text)
    if options.docs:
        replace_section("open inference", text)
    return 0


def _rows(address: str, model: str, image: bytes | NDArray[np.uint8]) -> list[Row]:
    client, typed = "`spyglass_client`, Classify", "prepared message, Classify"
    rows = [
        Row(client, SpyglassTarget(address, model, image)),
        Row("`tritonclient`, probabilities of all classes", TritonTarget(address, model, image), client),
        Row("`tritonclient`, 5 classes with names", TritonTarget(address, model, image, 5), client),
        Row(typed, GrpcTarget(address, CLASSIFY, typed_payload(model, image))),
        Row("prepared message, ModelInfer", GrpcTarget(address, INFER, infer_payload(model, [image])), typed),
    ]
    # Of larger images, a busy machine would refuse some: too much work would wait.
    if len(image) < _SMALL:
        rows.append(
            Row(
                f"prepared message, ModelInfer of {_BATCH} images, for each image",
                GrpcTarget(address, INFER, infer_payload(model, [image] * _BATCH)),
                typed,
                _BATCH,
            )
        )
    return rows


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
