"""Compare decoders: from a JPEG to the model's 224×224 pixels, by Pillow and by other libraries.

Prints the processor time of each decoder for photos of 0.2 and 12 megapixels, and the mean difference of its
pixels from those of Pillow's full decode. A reduced decode still reads every coefficient, so the time that it
saves depends on the detail in the photo: there are photos with little and with much detail.

Spyglass uses Pillow. The other decoders run if they are installed:

    pip install simplejpeg PyTurboJPEG opencv-python-headless

    python benchmarks/decode.py [--rounds 7]
"""

from __future__ import annotations

import argparse
import io
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from spyglass.v1.model_pb2 import COLOR_MODE_RGB, RESIZE_RULE_STRETCH, InputSpec, ValueRange
from spyglass_contract.images.pixels import prepare

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
SIZE = 224


class Photo(NamedTuple):
    """Options of a test photo: size in pixels, standard deviation of the grain (of 255), and JPEG quality."""

    width: int
    height: int
    grain: float
    quality: int


PHOTOS = (
    Photo(500, 375, grain=0, quality=90),
    Photo(4032, 3024, grain=0, quality=75),
    Photo(4032, 3024, grain=0, quality=90),
    Photo(4032, 3024, grain=4, quality=90),
    Photo(4032, 3024, grain=8, quality=95),
)

Way = Callable[[bytes], NDArray[np.uint8]]


def main() -> None:
    """Print a table for each photo."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=7, help="number of rounds (default: 7)")
    rounds = parser.parse_args().rounds
    for kind in PHOTOS:
        data = encode(kind)
        ways = dict(_ways())
        full = ways["Pillow, full"](data)
        times = _measure(ways, data, rounds)
        slowest = statistics.median(times["Pillow, full"])
        print(
            f"\n{kind.width}×{kind.height}, grain {kind.grain}, quality {kind.quality}: {len(data):,} bytes"
        )
        print(f"{'way':34}{'CPU ms':>9}{'speed-up':>10}{'mean diff of 255':>18}")
        for way, run in ways.items():
            spent = statistics.median(times[way])
            difference = np.abs(run(data).astype(int) - full).mean()
            print(f"{way:34}{spent * 1e3:9.2f}{slowest / spent:9.1f}x{difference:18.3f}")


def encode(kind: Photo) -> bytes:
    """Return a JPEG of a real photograph, enlarged, with fine grain like that of a sensor."""
    with Image.open(EXAMPLES / "coffee.jpg") as photo:
        enlarged = np.asarray(photo.resize((kind.width, kind.height), Image.Resampling.BICUBIC), np.float32)
    grain = np.random.default_rng(0).normal(0, kind.grain, enlarged.shape)
    buffer = io.BytesIO()
    image = Image.fromarray(np.clip(enlarged + grain, 0, 255).astype(np.uint8))
    image.save(buffer, "JPEG", quality=kind.quality)
    return buffer.getvalue()


def _measure(ways: dict[str, Way], data: bytes, rounds: int) -> dict[str, list[float]]:
    """Return the seconds of processor time of each way. Each round runs all ways in turn."""
    times: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(rounds):
        for way, run in ways.items():
            started = time.process_time()
            run(data)
            times[way].append(time.process_time() - started)
    return times


def _ways() -> Iterator[tuple[str, Way]]:
    yield "Pillow, full", lambda data: prepare(data, _spec(margin=0)).pixels
    yield "Pillow, reduced (Spyglass)", lambda data: prepare(data, _spec(margin=2)).pixels
    with suppress(ImportError):
        yield from _simplejpeg_ways()
    with suppress(ImportError, OSError, RuntimeError):
        yield from _turbojpeg_ways()
    with suppress(ImportError):
        yield from _opencv_ways()


def _spec(margin: int) -> InputSpec:
    return InputSpec(
        tensor="image",
        height=SIZE,
        width=SIZE,
        color_mode=COLOR_MODE_RGB,
        value_range=ValueRange(maximum=255),
        resize=RESIZE_RULE_STRETCH,
        scaled_decode_margin=margin,
    )


def _pillow_resize(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.asarray(Image.fromarray(pixels).resize((SIZE, SIZE), Image.Resampling.BILINEAR))


def _simplejpeg_ways() -> Iterator[tuple[str, Way]]:
    import simplejpeg

    yield "simplejpeg, full", lambda data: _pillow_resize(simplejpeg.decode_jpeg(data))
    yield (
        "simplejpeg, reduced",
        lambda data: _pillow_resize(simplejpeg.decode_jpeg(data, min_height=2 * SIZE, min_width=2 * SIZE)),
    )


def _turbojpeg_ways() -> Iterator[tuple[str, Way]]:
    import turbojpeg

    decoder = turbojpeg.TurboJPEG()

    def decode(data: bytes, *, reduced: bool) -> NDArray[np.uint8]:
        width, height, *_ = decoder.decode_header(data)
        scale = next((s for s in (8, 4, 2) if reduced and min(width, height) >= 2 * SIZE * s), 1)
        pixels = decoder.decode(data, pixel_format=turbojpeg.TJPF_RGB, scaling_factor=(1, scale))
        return _pillow_resize(pixels)

    yield "PyTurboJPEG, full", lambda data: decode(data, reduced=False)
    yield "PyTurboJPEG, reduced", lambda data: decode(data, reduced=True)


def _opencv_ways() -> Iterator[tuple[str, Way]]:
    import cv2

    # `INTER_AREA`, a box, is OpenCV's only antialiased kernel. Its pixels differ from a bilinear resize.
    def decode(data: bytes, flag: int) -> NDArray[np.uint8]:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flag)
        return np.asarray(cv2.resize(pixels, (SIZE, SIZE), interpolation=cv2.INTER_AREA)[:, :, ::-1])

    yield "OpenCV, full, box", lambda data: decode(data, cv2.IMREAD_COLOR)
    yield "OpenCV, 1/4, box", lambda data: decode(data, cv2.IMREAD_REDUCED_COLOR_4)


if __name__ == "__main__":
    main()
