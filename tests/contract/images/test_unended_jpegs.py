"""A JPEG without its last marker is read if every line is there, and refused as cut off if not."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from spyglass.v1.model_pb2 import InputSpec
from spyglass_contract.errors import ImageError
from spyglass_contract.images.decode import decode
from spyglass_contract.images.header import Limits

Encode = Callable[..., bytes]
Photograph = Callable[[int, int], Image.Image]

KINDS: dict[str, dict[str, object]] = {
    "sequential": {},
    "grey": {"grey": True},
    "progressive": {"progressive": True},
    "restart markers": {"restart_marker_blocks": 3},
    "a restart marker a row": {"restart_marker_rows": 1},
    "progressive with restart markers": {"progressive": True, "restart_marker_blocks": 5},
    "subsampled": {"subsampling": 2},
}


@pytest.fixture(params=KINDS)
def whole(request: pytest.FixtureRequest, photograph: Photograph, encode: Encode) -> bytes:
    options = dict(KINDS[request.param])
    image = photograph(83, 61)
    if options.pop("grey", False):
        image = image.convert("L")
    return encode(image, "JPEG", quality=90, **options)


def test_a_jpeg_that_lacks_only_its_last_marker_is_read(whole: bytes) -> None:
    expected = np.asarray(decode(whole, Limits())[0])

    for tail in (b"", b"\xff", b"\xff\xff"):
        np.testing.assert_array_equal(np.asarray(decode(whole[:-2] + tail, Limits())[0]), expected)


def test_a_reduced_jpeg_that_lacks_only_its_last_marker_is_read(
    photograph: Photograph, encode: Encode, make_spec: Callable[..., InputSpec]
) -> None:
    whole = encode(photograph(640, 480), "JPEG")
    spec = make_spec(scaled_decode_margin=2)

    image, frame = decode(whole[:-2], Limits(), spec)

    assert frame.reduction == 8
    np.testing.assert_array_equal(np.asarray(image), np.asarray(decode(whole, Limits(), spec)[0]))


def test_a_jpeg_that_ends_anywhere_before_its_last_bytes_is_refused(whole: bytes) -> None:
    scan = whole.index(b"\xff\xda")
    # The last byte or two may hold nothing but padding.
    places = [
        *range(scan, len(whole) - 8, max((len(whole) - scan) // 60, 1)),
        *range(len(whole) - 40, len(whole) - 5),
    ]
    read = []
    for place in places:
        try:
            decode(whole[:place], Limits())
            read.append(len(whole) - place)
        except ImageError as error:
            assert error.reason in ("IMAGE_TRUNCATED", "IMAGE_CORRUPT")

    assert read == []


def test_a_progressive_jpeg_without_its_last_scans_is_refused(photograph: Photograph, encode: Encode) -> None:
    whole = encode(photograph(83, 61), "JPEG", progressive=True)
    scans = [place for place in range(len(whole)) if whole.startswith(b"\xff\xda", place)]

    for start in scans[1:]:
        with pytest.raises(ImageError) as raised:
            decode(whole[:start], Limits())
        assert raised.value.reason == "IMAGE_TRUNCATED"
