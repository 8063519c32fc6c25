"""Compare the processor time of the server for a request over HTTP and for the same one over gRPC.

One server gets the same image in turns, each round in another order, from callers whose requests are made
once. The ratio is that to the call over gRPC in the same round.

    python benchmarks/http_cost.py [--rounds 11] [--seconds 2] [--concurrency 8] [--docs]
"""

from __future__ import annotations

import argparse
import base64
import json
import sys

from comparing.protocols import Row, measure_in_turns, table_of, typed_payload
from measuring.client_processes import client_processes
from measuring.docs_section import replace_section
from measuring.images import photo, tiny
from measuring.machine import describe_machine, machine_line
from measuring.process_tree import ProcessTree
from measuring.targets import CLASSIFY, GrpcTarget, HttpTarget
from serving_process import free_port, serving
from spyglass_server.engine.models.bundled import bundled_models
from spyglass_server.open_inference.byte_strings import join_strings

_BOUNDARY = "b" * 32


def main() -> int:
    """Print a table for each image."""
    options = _parse()
    parts = [
        f"{machine_line(describe_machine())}. Medians of {options.rounds} rounds of {options.seconds:g} s, "
        f"{options.concurrency} callers on the same cores as the server; ratio: with its quartiles over the "
        "rounds."
    ]
    port = free_port()
    flags = ("--models", str(bundled_models()), "--profile-seconds", "0", "--access-log", "false")
    with (
        serving(*flags, "--http-port", str(port), "--host", "127.0.0.1") as (address, process),
        client_processes(1) as clients,
    ):
        tree = ProcessTree(process.pid)
        for name, model, image in (
            ("PNG of 28×28, mnist-convnet", "mnist-convnet", tiny()),
            ("photograph of 500×375, imagenet", "imagenet", photo(500, 375)),
        ):
            rows = _rows(address.replace("localhost", "127.0.0.1"), port, model, image)
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
        replace_section("http", text)
    return 0


def _rows(address: str, port: int, model: str, image: bytes) -> list[Row]:
    grpc = "gRPC, Classify"
    path = f"/v1/classify?model={model}"
    encoded = {"image": {"encoded": base64.b64encode(image).decode()}}
    return [
        Row(grpc, GrpcTarget(address, CLASSIFY, typed_payload(model, image))),
        Row("HTTP, the image as the body", HttpTarget(port, path, image, "image/png"), grpc),
        Row(
            "HTTP, a form",
            HttpTarget(port, path, _form(image), f"multipart/form-data; boundary={_BOUNDARY}"),
            grpc,
        ),
        Row(
            "HTTP, JSON with base64",
            HttpTarget(port, path, json.dumps(encoded).encode(), "application/json"),
            grpc,
        ),
        Row("HTTP, Open Inference Protocol with bytes", _infer(port, model, image), grpc),
    ]


def _form(image: bytes) -> bytes:
    head = f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="image"; filename="image"\r\n\r\n'
    return head.encode() + image + f"\r\n--{_BOUNDARY}--\r\n".encode()


def _infer(port: int, model: str, image: bytes) -> HttpTarget:
    elements = join_strings([image])
    tensor = {
        "name": "image",
        "datatype": "BYTES",
        "shape": [1],
        "parameters": {"binary_data_size": len(elements)},
    }
    output = {"name": "probabilities", "parameters": {"classification": 5}}
    head = json.dumps({"inputs": [tensor], "outputs": [output]}).encode()
    length = (("Inference-Header-Content-Length", str(len(head))),)
    path = f"/v2/models/{model}/infer"
    return HttpTarget(port, path, head + elements, "application/octet-stream", length)


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
