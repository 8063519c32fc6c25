"""Masks match the upright image, for any size and resize rule: squares at known places."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as PillowImage

from spyglass.v1.image_pb2 import Image
from spyglass.v1.model_pb2 import ModelRef
from spyglass.v1.segment_pb2 import MASK_FORMAT_RAW, MASK_SIZE_AS_MODEL, SegmentRequest, SegmentResponse
from spyglass.v1.vision_pb2_grpc import VisionStub
from spyglass_contract.masks.palette_png import decode_mask

RED, BLUE, VOID = 1, 3, 255

# Of the network's input.
COLUMNS, ROWS = 32, 24

Square = Callable[[tuple[int, int], tuple[int, int, int, int]], PillowImage.Image]
Encode = Callable[..., bytes]


def raw(reply: SegmentResponse) -> NDArray[np.uint8]:
    return np.frombuffer(reply.mask.data, np.uint8).reshape(reply.mask.height, reply.mask.width)


def square_mask(size: tuple[int, int], box: tuple[int, int, int, int]) -> NDArray[np.uint8]:
    width, height = size
    mask = np.full((height, width), BLUE, np.uint8)
    left, top, right, bottom = box
    mask[top:bottom, left:right] = RED
    return mask


def near_border(size: tuple[int, int], box: tuple[int, int, int, int], reach: float) -> NDArray[np.bool_]:
    """bool [height, width]: the pixels whose centres are within `reach` of the square's border."""
    (width, height), (left, top, right, bottom) = size, box
    x, y = np.arange(width) + 0.5, np.arange(height)[:, np.newaxis] + 0.5
    outside = np.maximum(np.maximum(left - x, x - right), np.maximum(top - y, y - bottom))
    return np.abs(outside) <= reach


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("model", ["stretch", "pad", "crop"])
@pytest.mark.parametrize("size", [(61, 43), (35, 83)], ids=["landscape", "portrait"])
def test_the_mask_matches_the_upright_image(
    segmenting: VisionStub,
    square_image: Square,
    encode: Encode,
    orientation: int,
    model: str,
    size: tuple[int, int],
) -> None:
    upright = square_image(size, (5, 7, 25, 30))
    back = {
        1: None,
        2: PillowImage.Transpose.FLIP_LEFT_RIGHT,
        3: PillowImage.Transpose.ROTATE_180,
        4: PillowImage.Transpose.FLIP_TOP_BOTTOM,
        5: PillowImage.Transpose.TRANSPOSE,
        6: PillowImage.Transpose.ROTATE_90,
        7: PillowImage.Transpose.TRANSVERSE,
        8: PillowImage.Transpose.ROTATE_270,
    }[orientation]
    exif = PillowImage.Exif()
    exif[0x0112] = orientation
    stored = upright if back is None else upright.transpose(back)
    request = SegmentRequest(
        image=Image(encoded=encode(stored, exif=exif)), model=ModelRef(name=model), format=MASK_FORMAT_RAW
    )
    found = raw(segmenting.Segment(request))
    assert (found == RED).any()
    request.image.encoded = encode(upright)
    np.testing.assert_array_equal(found, raw(segmenting.Segment(request)))


@pytest.mark.parametrize("model", ["stretch", "pad", "crop", "coarse"])
@pytest.mark.parametrize(
    ("size", "box"),
    [
        pytest.param((97, 71), (31, 23, 64, 50), id="landscape"),
        pytest.param((71, 97), (20, 31, 51, 64), id="portrait"),
        pytest.param((333, 251), (100, 90, 201, 160), id="large"),
        pytest.param((29, 21), (9, 7, 20, 15), id="smaller than the input"),
        pytest.param((63, 63), (20, 20, 43, 43), id="square"),
    ],
)
def test_the_mask_undoes_the_resize_rule_to_within_half_a_cell(
    segmenting: VisionStub,
    square_image: Square,
    encode: Encode,
    model: str,
    size: tuple[int, int],
    box: tuple[int, int, int, int],
) -> None:
    image = Image(encoded=encode(square_image(size, box)))
    reply = segmenting.Segment(
        SegmentRequest(image=image, model=ModelRef(name=model), format=MASK_FORMAT_RAW)
    )
    found, frame = raw(reply), reply.frame
    cell = 2 if model == "coarse" else 1
    across = (frame.right - frame.left) / COLUMNS * cell
    down = (frame.bottom - frame.top) / ROWS * cell
    left, top, right, bottom = box
    # Interpolation rounds corners over up to a cell.
    upright_edges = near_border(size, (left, -9999, right, 9999), across)
    level_edges = near_border(size, (-9999, top, 9999, bottom), down)
    tolerated = (
        near_border(size, (left, -9999, right, 9999), across / 2)
        | near_border(size, (-9999, top, 9999, bottom), down / 2)
        | (upright_edges & level_edges)
    )
    expected = square_mask(size, box)
    if model == "crop":
        expected[outside_of(frame, size)] = VOID
    else:
        assert VOID not in found
    np.testing.assert_array_equal(np.where(tolerated, expected, found), expected)
    assert tolerated.mean() < 0.5


def outside_of(frame: Any, size: tuple[int, int]) -> NDArray[np.bool_]:
    """bool [height, width]: the pixels whose centres lie outside of the network's input, or on its edge."""
    width, height = size
    x, y = np.arange(width) + 0.5, np.arange(height)[:, np.newaxis] + 0.5
    return (x < frame.left) | (x >= frame.right) | (y < frame.top) | (y >= frame.bottom)


# Cells of whole pixels: the side of a cell, and the box that the input's 32 × 24 cells cover.
WHOLE_CELLS = [
    *[
        pytest.param(model, (COLUMNS * side, ROWS * side), side, (0, 0), id=f"{model}, {side} pixels a cell")
        for model in ("stretch", "pad", "crop")
        for side in (1, 2, 3, 5, 7)
    ],
    pytest.param("pad", (160, 60), 5, (0, -30), id="padded above and below"),
    pytest.param("pad", (60, 120), 5, (-50, 0), id="padded left and right"),
    pytest.param("pad", (84, 168), 7, (-70, 0), id="padded left and right, 7 pixels a cell"),
    pytest.param("crop", (320, 120), 5, (80, 0), id="cropped left and right"),
    pytest.param("crop", (96, 150), 3, (0, 39), id="cropped above and below"),
    pytest.param("crop", (224, 252), 7, (0, 42), id="cropped above and below, 7 pixels a cell"),
]


@pytest.mark.parametrize(("model", "size", "side", "corner"), WHOLE_CELLS)
@pytest.mark.parametrize("upright_edge", [True, False], ids=["left of it", "above it"])
def test_the_mask_is_exact_to_the_pixel_if_edges_lie_between_cells(
    segmenting: VisionStub,
    encode: Encode,
    model: str,
    size: tuple[int, int],
    side: int,
    corner: tuple[int, int],
    upright_edge: bool,
) -> None:
    width, height = size
    edge = corner[not upright_edge] + (14 if upright_edge else 10) * side
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[:, :, 2] = 255
    (pixels[:, :edge] if upright_edge else pixels[:edge])[:] = (255, 0, 0)
    expected = np.where(pixels[:, :, 0] > 0, RED, BLUE)
    assert {RED, BLUE} == set(expected.flat)
    left, top = corner
    unseen = np.ones((height, width), np.bool_)
    unseen[max(top, 0) : top + ROWS * side, max(left, 0) : left + COLUMNS * side] = False
    expected[unseen] = VOID
    request = SegmentRequest(
        image=Image(encoded=encode(PillowImage.fromarray(pixels))),
        model=ModelRef(name=model),
        format=MASK_FORMAT_RAW,
    )
    np.testing.assert_array_equal(raw(segmenting.Segment(request)), expected)


@pytest.mark.parametrize(
    ("size", "rows", "columns"),
    [
        pytest.param((160, 60), slice(6, 18), slice(None), id="above and below"),
        pytest.param((60, 120), slice(None), slice(10, 22), id="left and right"),
    ],
)
def test_cells_that_show_padding_are_unseen_in_a_mask_of_the_networks_size(
    segmenting: VisionStub, encode: Encode, size: tuple[int, int], rows: slice, columns: slice
) -> None:
    reply = segmenting.Segment(
        SegmentRequest(
            image=Image(encoded=encode(PillowImage.new("RGB", size, (255, 0, 0)))),
            model=ModelRef(name="pad"),
            format=MASK_FORMAT_RAW,
            size=MASK_SIZE_AS_MODEL,
            soft_class_index=RED,
        )
    )
    expected = np.full((ROWS, COLUMNS), VOID)
    expected[rows, columns] = RED
    np.testing.assert_array_equal(raw(reply), expected)
    assert [entry.pixels for entry in reply.classes] == [0, (expected == RED).sum(), 0, 0]
    assert reply.classes[RED].fraction == pytest.approx((expected == RED).mean())
    assert 0.9 < reply.classes[RED].mean_score <= 1
    soft = np.asarray(PillowImage.open(io.BytesIO(reply.soft.data)))
    np.testing.assert_array_equal(soft > 0, expected == RED)


def test_cropped_pixels_are_unseen_and_count_for_no_class(
    segmenting: VisionStub, square_image: Square, encode: Encode
) -> None:
    image = Image(encoded=encode(square_image((101, 48), (40, 10, 60, 30))))
    reply = segmenting.Segment(SegmentRequest(image=image, model=ModelRef(name="crop")))
    mask = decode_mask(reply.mask.data)
    assert (mask[:, :18] == VOID).all()
    assert (mask[:, -18:] == VOID).all()
    assert (mask[:, 19:-19] != VOID).all()
    assert sum(entry.pixels for entry in reply.classes) == (mask != VOID).sum()
    assert sum(entry.fraction for entry in reply.classes) == pytest.approx((mask != VOID).mean())
