"""The size of a request without its image, measured on its bytes."""

from __future__ import annotations

import pytest

from spyglass.inference.v2_pb2 import ModelInferRequest
from spyglass.v1.classify_pb2 import ClassifyRequest
from spyglass.v1.image_pb2 import Image, RawImage
from spyglass_server.interceptors.message_size import size_without_image

LIMIT = 1000


def size(data: bytes, limit: int = LIMIT) -> int:
    return size_without_image(data, ClassifyRequest.DESCRIPTOR, limit)


@pytest.mark.parametrize(
    "image", [Image(encoded=bytes(10**6)), Image(raw=RawImage(height=1, width=1, data=bytes(10**6)))]
)
def test_the_size_leaves_out_the_bytes_of_an_image(image: Image) -> None:
    request = ClassifyRequest(id="x" * 50, image=image, top_k=3)

    assert 50 < size(request.SerializeToString()) < 100


def test_the_size_includes_all_other_bytes() -> None:
    request = ClassifyRequest(id="x" * 500, top_k=2**32 - 1)

    assert size(request.SerializeToString()) == request.ByteSize()


def test_the_size_includes_an_unknown_field_inside_an_image() -> None:
    assert size(b"\x12\xfa\x01" + b"\xfa\x3f\xf6\x01" + bytes(246)) > 246


def test_counting_stops_above_the_limit() -> None:
    assert LIMIT < size(b"\x12\x00" * 10**7) < LIMIT + 10


@pytest.mark.parametrize(
    "data", [b"\xff" * 100, b"\x12\xff\xff\xff\xff\x0f" + bytes(94), b"\x0b" * 100, b"\x80" * 100]
)
def test_invalid_bytes_count_in_full(data: bytes) -> None:
    assert size(data) == len(data)


def test_a_message_of_an_unknown_type_counts_in_full() -> None:
    assert size_without_image(bytes(70), None, LIMIT) == 70


def tensor_size(request: ModelInferRequest, *, numbers: bool = False) -> int:
    data = request.SerializeToString()
    return size_without_image(data, ModelInferRequest.DESCRIPTOR, LIMIT, numbers=numbers)


def test_the_size_leaves_out_the_files_and_pixels_of_tensors() -> None:
    request = ModelInferRequest(model_name="x" * 50, raw_input_contents=[bytes(10**6), bytes(10**6)])
    assert 50 < tensor_size(request) < 100

    request = ModelInferRequest(model_name="x" * 50, inputs=[{"name": "image"}])
    request.inputs[0].contents.bytes_contents.extend([bytes(10**6)] * 2)
    assert 50 < tensor_size(request) < 100


def test_pixels_as_numbers_count_if_a_thread_should_parse_them() -> None:
    request = ModelInferRequest(inputs=[{"name": "image"}])
    request.inputs[0].contents.uint_contents.extend([7] * 10**4)

    assert tensor_size(request) < 50
    assert tensor_size(request, numbers=True) > LIMIT


@pytest.mark.parametrize("field", ["raw_input_contents", "bytes_contents"])
def test_the_tags_of_many_empty_elements_count(field: str) -> None:
    request = ModelInferRequest(inputs=[{"name": "image"}])
    target = request if field == "raw_input_contents" else request.inputs[0].contents
    getattr(target, field).extend([b""] * 10**4)
    assert tensor_size(request) > LIMIT
