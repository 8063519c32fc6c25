"""The bundled segmentation model on a real server."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as PillowImage
from PIL.ExifTags import Base

from spyglass.v1.image_pb2 import Image
from spyglass.v1.segment_pb2 import (
    MASK_FORMAT_PNG_INDEXED,
    MASK_FORMAT_PNG_OVERLAY,
    MASK_FORMAT_RAW,
    MASK_FORMAT_RLE,
    MaskFormat,
    SegmentRequest,
    SegmentResponse,
)
from spyglass_client import Client, Segmentation
from spyglass_contract.masks.palette_png import decode_mask
from spyglass_contract.masks.run_lengths import decode_runs

# The EXIF orientation of an image that must be turned by 90° clockwise to be upright.
TURNED = 6


@pytest.fixture(scope="module")
def client(service: Any) -> Iterator[Client]:
    with Client(service.process.address) as client:
        yield client


def segment(
    service: Any, image: bytes, mask_format: MaskFormat.ValueType = MASK_FORMAT_PNG_INDEXED
) -> SegmentResponse:
    request = SegmentRequest(image=Image(encoded=image), format=mask_format)
    reply: SegmentResponse = service.vision.Segment(request, timeout=60)
    return reply


def mask_of(reply: SegmentResponse) -> NDArray[np.uint8]:
    mask = reply.mask
    if mask.format == MASK_FORMAT_PNG_INDEXED:
        return decode_mask(mask.data)
    if mask.format == MASK_FORMAT_RAW:
        return np.frombuffer(mask.data, np.uint8).reshape(mask.height, mask.width)
    values = np.full((mask.height, mask.width), 255, np.uint8)
    for runs in mask.runs:
        values[decode_runs(runs.counts, mask.height, mask.width)] = runs.class_index
    return values


def test_the_default_model_separates_the_cup_from_the_background(service: Any, coffee: bytes) -> None:
    reply = segment(service, coffee)
    width, height = PillowImage.open(io.BytesIO(coffee)).size
    assert reply.served_by.model == "foreground"
    mask = mask_of(reply)
    assert mask.shape == (height, width)
    fractions = {entry.name: entry.fraction for entry in reply.classes}
    assert set(fractions) == {"foreground", "background", "contour"}
    assert sum(fractions.values()) == pytest.approx(1)
    # The first area is the cup, the second is the table to the left of its saucer.
    assert (mask[20:200, 200:440] == 0).mean() > 0.7
    assert (mask[60:300, :60] == 1).mean() > 0.8


def test_all_formats_of_a_mask_hold_the_same_classes(service: Any, coffee: bytes) -> None:
    formats = (MASK_FORMAT_PNG_INDEXED, MASK_FORMAT_RAW, MASK_FORMAT_RLE)
    indexed, raw, runs = (mask_of(segment(service, coffee, each)) for each in formats)
    np.testing.assert_array_equal(indexed, raw)
    np.testing.assert_array_equal(indexed, runs)


def test_a_mask_has_the_orientation_of_the_upright_image(
    service: Any, coffee: bytes, encode: Callable[..., bytes]
) -> None:
    upright = PillowImage.open(io.BytesIO(coffee)).convert("RGB")
    exif = PillowImage.Exif()
    exif[Base.Orientation] = TURNED
    lying = encode(upright.transpose(PillowImage.Transpose.ROTATE_90), "PNG", exif=exif)
    np.testing.assert_array_equal(
        mask_of(segment(service, lying)), mask_of(segment(service, encode(upright, "PNG")))
    )


@pytest.mark.slow
def test_concurrent_callers_get_the_same_masks_as_single_callers(
    client: Client, chelsea: bytes, coffee: bytes
) -> None:
    images = [chelsea, coffee]
    alone = [client.segment(image).array for image in images]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda number: client.segment(images[number % 2]).array, range(40)))
    for number, mask in enumerate(together):
        np.testing.assert_array_equal(mask, alone[number % 2])


def test_a_stream_of_masks_keeps_its_order_and_continues_after_an_invalid_image(
    client: Client, chelsea: bytes, coffee: bytes
) -> None:
    results = list(client.segment_many([chelsea, b"not an image", coffee]))
    assert [isinstance(result, Segmentation) for result in results] == [True, False, True]
    assert results[1].error is not None and results[1].error.reason == "IMAGE_UNRECOGNISED"
    np.testing.assert_array_equal(results[2].array, client.segment(coffee).array)


@pytest.fixture(scope="module")
def twelve_megapixels(coffee: bytes, encode: Callable[..., bytes]) -> bytes:
    return encode(PillowImage.open(io.BytesIO(coffee)).convert("RGB").resize((4000, 3000)), "JPEG")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("mask_format", "megabytes"),
    [
        # Less than the float32 probabilities of one of the three classes would take at this size.
        (MASK_FORMAT_PNG_INDEXED, 48),
        (MASK_FORMAT_RLE, 48),
        # Four copies of the mask: the array, the encoded bytes, the message, the wire.
        (MASK_FORMAT_RAW, 64),
        # 20 bytes a pixel, and the reply.
        (MASK_FORMAT_PNG_OVERLAY, 288),
    ],
)
def test_a_mask_of_twelve_megapixels_stays_below_a_memory_limit(
    start_service: Callable[..., Any],
    coffee: bytes,
    twelve_megapixels: bytes,
    mask_format: MaskFormat.ValueType,
    megabytes: int,
) -> None:
    service = start_service()
    for _ in range(3):
        segment(service, coffee)
    before = service.resident_megabytes
    service.forget_peak()
    assert segment(service, twelve_megapixels, mask_format).mask.height == 3000
    assert service.peak_megabytes - before < megabytes


@pytest.mark.slow
def test_masks_of_twelve_megapixels_leak_no_memory(
    start_service: Callable[..., Any], twelve_megapixels: bytes
) -> None:
    service = start_service()
    for _ in range(3):
        segment(service, twelve_megapixels)
    before = service.resident_megabytes
    with ThreadPoolExecutor(4) as pool:
        replies = list(pool.map(lambda _: segment(service, twelve_megapixels), range(24)))
    assert {(reply.mask.width, reply.mask.height) for reply in replies} == {(4000, 3000)}
    assert service.resident_megabytes - before < 60
