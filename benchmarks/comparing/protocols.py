"""Requests of several protocols to one server in turns, and the processor time that they cost it."""

from __future__ import annotations

import statistics
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from comparing.rounds import Figures, measure
from comparing.variants import Served, classify_payload
from measuring.client_processes import ClientProcesses
from measuring.markdown import table
from measuring.process_tree import ProcessTree
from measuring.targets import Target
from measuring.window import Window
from spyglass.v1.classify_pb2 import ClassifyRequest
from spyglass.v1.image_pb2 import Image, RawImage
from spyglass.v1.model_pb2 import ModelRef

_WARM_UP_SECONDS = 0.4


@dataclass(frozen=True)
class Row:
    """A kind of request, and the one that it is compared with."""

    name: str
    target: Target
    against: str = ""
    images: int = 1


def typed_payload(model: str, image: bytes | NDArray[np.uint8]) -> bytes:
    """Return a request of `spyglass.v1` for a file, or for pixels of uint8 [height, width, channels]."""
    if isinstance(image, bytes):
        return classify_payload(model, image)
    height, width, channels = image.shape
    raw = RawImage(height=height, width=width, channels=channels, data=image.tobytes())
    return ClassifyRequest(image=Image(raw=raw), model=ModelRef(name=model)).SerializeToString()


def measure_in_turns(
    rows: list[Row],
    tree: ProcessTree,
    clients: ClientProcesses,
    *,
    rounds: int,
    seconds: float,
    concurrency: int,
) -> dict[str, list[Figures]]:
    """Return the figures of each row by its name; each round has another order. Raises RuntimeError."""
    found: dict[str, list[Figures]] = {row.name: [] for row in rows}
    for _ in range(rounds):
        rows = [*rows[1:], rows[0]]
        for row in rows:
            window = Window.soon(_WARM_UP_SECONDS, seconds)
            figures = measure(Served(tree, row.target, lambda body: {}), clients, concurrency, window)
            if figures.failed:
                raise RuntimeError(f"{row.name}: {figures.failed} calls failed")
            found[row.name].append(figures)
    return found


def table_of(rows: list[Row], found: dict[str, list[Figures]]) -> str:
    """Return a table; a ratio is that to the row of comparison in the same round, with its quartiles."""
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
