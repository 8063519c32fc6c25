"""Input specs, PNG files written chunk by chunk, and photographs of any size."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from spyglass.v1.model_pb2 import COLOR_MODE_RGB, RESIZE_RULE_STRETCH, InputSpec, ValueRange


@pytest.fixture(scope="session")
def make_spec() -> Callable[..., InputSpec]:
    """An input of 8 × 8 RGB, stretched, JPEGs decoded in full; `make_spec(width=16, …)` for another."""

    def make(**fields: object) -> InputSpec:
        spec = InputSpec(
            tensor="image",
            height=8,
            width=8,
            color_mode=COLOR_MODE_RGB,
            resize=RESIZE_RULE_STRETCH,
            value_range=ValueRange(minimum=0, maximum=255),
        )
        spec.MergeFrom(InputSpec(**fields))
        return spec

    return make


@pytest.fixture(scope="session")
def raw_png(png_chunk: Callable[[bytes, bytes], bytes]) -> Callable[..., bytes]:
    """A PNG of one row, in modes that Pillow does not write: `raw_png(width, depth, color_type, row)`.

    `transparent` is the content of a tRNS chunk.
    """

    def make(width: int, depth: int, color_type: int, row: bytes, transparent: bytes = b"") -> bytes:
        header = struct.pack(">LLBBBBB", width, 1, depth, color_type, 0, 0, 0)
        chunks = [(b"IHDR", header), (b"tRNS", transparent), (b"IDAT", zlib.compress(b"\0" + row))]
        body = b"".join(png_chunk(kind, data) for kind, data in chunks if data)
        return b"\x89PNG\r\n\x1a\n" + body + png_chunk(b"IEND", b"")

    return make


@pytest.fixture(scope="session")
def photograph(chelsea: bytes) -> Callable[[int, int], Image.Image]:
    """The cat at any size, `photograph(width, height)`, with noise like that of a camera."""

    def make(width: int, height: int) -> Image.Image:
        cat = Image.open(io.BytesIO(chelsea)).convert("RGB")
        smooth = np.asarray(cat.resize((width, height), Image.Resampling.BICUBIC), np.int16)
        grain = np.random.RandomState(0).randint(-10, 11, (height, width, 1), np.int16)
        return Image.fromarray((smooth + grain).clip(0, 255).astype(np.uint8))

    return make


@pytest.fixture(scope="session")
def twelve_megapixels(photograph: Callable[[int, int], Image.Image]) -> Image.Image:
    return photograph(4000, 3000)
