"""Heatmaps of large photographs: their memory and their limits."""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image

from spyglass.v1.heatmap_pb2 import (
    HEATMAP_FORMAT_FLOAT32,
    HEATMAP_FORMAT_PNG_GRAY,
    HEATMAP_FORMAT_PNG_OVERLAY,
    MAP_SIZE_AS_FEATURE_MAP,
    MAP_SIZE_AS_IMAGE,
    MAP_SIZE_AS_MODEL,
)
from spyglass.v1.model_pb2 import COLOR_MODE_RGB, RESIZE_RULE_CROP, InputSpec, ValueRange
from spyglass_contract.errors import LimitExceeded
from spyglass_contract.heatmaps.overlay import draw_overlay, grey_levels, map_to_image
from spyglass_contract.images.header import Limits
from spyglass_contract.images.pixels import prepare
from spyglass_server.engine.canvas import Canvas
from spyglass_server.heatmaps.drawing import Drawing, MapDrawing, check_map_size

SPEC = InputSpec(
    tensor="image",
    height=224,
    width=224,
    color_mode=COLOR_MODE_RGB,
    value_range=ValueRange(minimum=0, maximum=255),
    resize=RESIZE_RULE_CROP,
    crop_fraction=0.875,
    scaled_decode_margin=2,
)
VALUES = np.random.default_rng(0).uniform(size=(7, 7)).astype(np.float32)
GRAY = Drawing(HEATMAP_FORMAT_PNG_GRAY, MAP_SIZE_AS_IMAGE)
OVERLAY = Drawing(HEATMAP_FORMAT_PNG_OVERLAY, MAP_SIZE_AS_IMAGE)
FLOATS = Drawing(HEATMAP_FORMAT_FLOAT32, MAP_SIZE_AS_IMAGE)


@pytest.fixture
def photograph(chelsea: bytes) -> Callable[[int, int], bytes]:
    """The cat, enlarged: `photograph(width, height)`, a JPEG."""

    def make(width: int, height: int) -> bytes:
        buffer = io.BytesIO()
        with Image.open(io.BytesIO(chelsea)) as image:
            image.resize((width, height)).save(buffer, "JPEG")
        return buffer.getvalue()

    return make


def canvas_of(image: bytes) -> Canvas:
    return Canvas(image, prepare(image, SPEC), SPEC, Limits())


def read(png: bytes) -> Any:
    return np.asarray(Image.open(io.BytesIO(png)))


def test_a_heatmap_drawn_in_strips_equals_one_drawn_at_once(photograph: Callable[[int, int], bytes]) -> None:
    canvas = canvas_of(photograph(1501, 1103))
    whole = map_to_image(VALUES, canvas.box, canvas.width, canvas.height)
    np.testing.assert_array_equal(read(MapDrawing(canvas, GRAY).draw(VALUES).data), grey_levels(whole))
    expected = np.asarray(draw_overlay(canvas.upright, whole))
    np.testing.assert_array_equal(read(MapDrawing(canvas, OVERLAY).draw(VALUES).data), expected)


@pytest.mark.parametrize(
    ("drawing", "maps", "fits"),
    [
        (GRAY, 1, True),
        (OVERLAY, 1, True),
        (GRAY, 2, False),
        (OVERLAY, 2, False),
        (FLOATS, 1, False),
        (Drawing(HEATMAP_FORMAT_PNG_GRAY, MAP_SIZE_AS_MODEL), 41, True),
        (Drawing(HEATMAP_FORMAT_PNG_GRAY, MAP_SIZE_AS_MODEL), 42, False),
        (Drawing(HEATMAP_FORMAT_FLOAT32, MAP_SIZE_AS_FEATURE_MAP), 33, True),
    ],
)
def test_heatmaps_as_png_may_be_as_large_as_a_large_photograph(
    photograph: Callable[[int, int], bytes], drawing: Drawing, maps: int, fits: bool
) -> None:
    prepared = prepare(photograph(4096, 4096), SPEC)
    if fits:
        check_map_size(prepared, drawing, maps)
        return
    with pytest.raises(LimitExceeded, match="AS_FEATURE_MAP") as refused:
        check_map_size(prepared, drawing, maps)
    assert refused.value.reason == "MAP_TOO_LARGE"


@pytest.mark.slow
def test_heatmaps_with_too_many_bytes_for_one_response_are_refused_while_they_are_drawn() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (2000, 2000, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).save(buffer, "PNG", compress_level=0)
    canvas = canvas_of(buffer.getvalue())
    check_map_size(prepare(buffer.getvalue(), SPEC), OVERLAY, 2)
    drawing = MapDrawing(canvas, OVERLAY)
    drawing.draw(VALUES)
    with pytest.raises(LimitExceeded, match="bytes, more than 16,777,216; request AS_FEATURE_MAP") as refused:
        drawing.draw(VALUES)
    assert refused.value.reason == "MAP_TOO_LARGE"


# In a separate process, because only its peak shows the memory that Pillow takes.
_PEAK = """
import re, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from test_large_heatmaps import GRAY, OVERLAY, VALUES, MapDrawing, canvas_of

canvas = canvas_of(Path(sys.argv[2]).read_bytes())
drawing = MapDrawing(canvas, {"GRAY": GRAY, "OVERLAY": OVERLAY}[sys.argv[3]])
drawing.draw(VALUES) if sys.argv[4] == "draw" else None
print(1024 * int(re.search(r"VmHWM:\\s*(\\d+) kB", Path("/proc/self/status").read_text())[1]))
"""


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "bytes_a_pixel"), [("GRAY", 2), ("OVERLAY", 12)])
def test_drawing_a_heatmap_of_16_megapixels_takes_a_few_bytes_a_pixel(
    photograph: Callable[[int, int], bytes], tmp_path: Any, kind: str, bytes_a_pixel: int
) -> None:
    path = tmp_path / "photograph.jpg"
    path.write_bytes(photograph(4096, 4096))

    def peak(what: str) -> int:
        arguments = [sys.executable, "-c", _PEAK, str(__file__).rpartition("/")[0], str(path), kind, what]
        return int(subprocess.run(arguments, capture_output=True, text=True, check=True).stdout)

    drawn = peak("draw") - peak("nothing")
    assert drawn < bytes_a_pixel * 4096 * 4096
