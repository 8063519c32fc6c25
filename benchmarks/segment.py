"""Measure the steps of a mask: decoding, inference, upsampling, and encoding in each format.

Prints the median processor time of each step in milliseconds, for photos of 0.2, 2 and 12 megapixels. For the
formats it also prints the bytes of the message, and their percentage of the mask's pixels. Masks have the
size of the image. The steps are those of the server and run one after the other on one thread.

    python benchmarks/segment.py [--model NAME/VERSION/model.onnx] [--image FILE] [--rounds 7]
"""

from __future__ import annotations

import argparse
import io
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from spyglass.v1.segment_pb2 import Mask, MaskFormat
from spyglass_contract.images.geometry import Box, input_box
from spyglass_contract.images.header import Limits
from spyglass_contract.images.pixels import Prepared, prepare
from spyglass_contract.masks.probability_maps import encode_probability_map, probability_map_of_image
from spyglass_contract.masks.upsampling import mask_of_image
from spyglass_server.engine.canvas import Canvas
from spyglass_server.engine.models.bundled import bundled_models
from spyglass_server.engine.models.session import Session
from spyglass_server.masks.encoding import MaskStyle, encode

EXAMPLE = Path(__file__).resolve().parents[1] / "examples/coffee.jpg"
FOREGROUND = Path("foreground/2/model.onnx")

SIZES = ((500, 375), (1632, 1224), (4032, 3024))

Result = TypeVar("Result")


class Step(NamedTuple):
    """Processor time of one step in milliseconds, and the size of its output."""

    milliseconds: float
    # Bytes of the message on the wire; 0 if the step makes none.
    size: int = 0


def main() -> None:
    """Print a table for each image size."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--model", type=Path, default=bundled_models() / FOREGROUND, help="ONNX file (default: foreground)"
    )
    parser.add_argument("--image", type=Path, default=EXAMPLE, help="image to resize (default: coffee.jpg)")
    parser.add_argument("--rounds", type=int, default=7, help="number of rounds (default: 7)")
    options = parser.parse_args()
    session = Session(options.model, device="cpu")
    spec = session.card.input
    print(f"{session.card.name}, input {spec.width}×{spec.height}, {len(session.card.class_names)} classes")
    for width, height in SIZES:
        data = photo(options.image, width, height)
        print(f"\n{width}×{height}, a JPEG of {len(data):,} bytes")
        print(f"{'step':26}{'CPU ms':>9}{'bytes':>13}{'of RAW':>9}")
        for name, step in steps(session, data, options.rounds).items():
            share = f"{step.size:13,}{step.size / (width * height):9.2%}" if step.size else ""
            print(f"{name:26}{step.milliseconds:9.2f}{share}")


def photo(path: Path, width: int, height: int) -> bytes:
    """Return a JPEG of the image at another size, with a little grain like that of a sensor."""
    with Image.open(path) as image:
        resized = np.asarray(image.convert("RGB").resize((width, height), Image.Resampling.BICUBIC))
    grain = np.random.default_rng(0).normal(0, 4, resized.shape)
    buffer = io.BytesIO()
    Image.fromarray(np.clip(resized + grain, 0, 255).astype(np.uint8)).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def steps(session: Session, data: bytes, rounds: int) -> dict[str, Step]:
    """Measure each step from a file to a mask, in the order in which the server runs them."""
    spec = session.card.input
    taken: dict[str, Step] = {}
    taken["decode"], prepared = timed(lambda: prepare(data, spec), rounds)
    taken["inference"], output = timed(lambda: session.run(prepared.pixels[np.newaxis])[0], rounds)
    size, box = (prepared.width, prepared.height), input_box(prepared.placement, spec)
    taken["upsample"], found = timed(lambda: mask_of_image(output, box, *size), rounds)
    taken |= encodings(found.mask, session, data, prepared, rounds)
    soft = partial(soft_map, output[:, :, 1], box, size)
    taken["soft map of class 1"], png = timed(soft, rounds)
    taken["soft map of class 1"] = taken["soft map of class 1"]._replace(size=len(png))
    return taken


def encodings(
    mask: NDArray[np.uint8], session: Session, data: bytes, prepared: Prepared, rounds: int
) -> dict[str, Step]:
    """Measure the encoding of the mask in each format. For an overlay the image is decoded at full size."""

    def code(style: MaskStyle) -> Mask:
        canvas = Canvas(data, prepared, session.card.input, Limits())
        return encode(mask, style, canvas, session.card.class_names)

    taken: dict[str, Step] = {}
    for mask_format in MaskFormat.values():
        step, message = timed(partial(code, MaskStyle(mask_format)), rounds)
        taken[MaskFormat.Name(mask_format)] = step._replace(size=message.ByteSize())
    return taken


def soft_map(values: NDArray[np.float32], box: Box, size: tuple[int, int]) -> bytes:
    """Return the probability map of one class as the PNG that is sent."""
    return encode_probability_map(probability_map_of_image(values, box, *size))


def timed(call: Callable[[], Result], rounds: int) -> tuple[Step, Result]:
    """Return the median of `rounds` calls, after one call to warm up, and the result of the call."""
    result = call()
    spent = []
    for _ in range(rounds):
        started = time.process_time()
        result = call()
        spent.append(time.process_time() - started)
    return Step(statistics.median(spent) * 1000), result


if __name__ == "__main__":
    main()
