"""The inputs of a request: the tensors, types, shapes and contents that are taken, and refusals."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from spyglass_server.engine.models.model import Model
from spyglass_server.open_inference.byte_strings import join_strings
from spyglass_server.open_inference.inputs import MAX_IMAGES, input_specs
from spyglass_server.open_inference.tensors import InputTensor

SHAPE = (8, 8, 3)


@pytest.fixture
def pixels() -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Two inputs of the network: red and blue."""
    images = np.zeros((2, *SHAPE), np.uint8)
    images[0, ..., 0] = images[1, ..., 2] = 255
    return images


@pytest.fixture
def files(color_image: Callable[..., bytes]) -> list[bytes]:
    return [color_image("red"), color_image("blue")]


@pytest.mark.parametrize("form", ["raw", "numbers", "array"])
def test_pixels_are_what_the_network_gets(infer: Any, find: Any, pixels: Any, form: str) -> None:
    contents = {"raw": pixels.tobytes(), "numbers": pixels.ravel().tolist(), "array": pixels.ravel()}[form]

    (output,) = infer(InputTensor("image", "UINT8", (2, *SHAPE), contents)).outputs

    assert (output.name, output.datatype, output.shape) == ("probabilities", "FP32", (2, 3))
    np.testing.assert_array_equal(output.values, find("colors").network.run(pixels))


@pytest.mark.parametrize("name", ["image", "encoded_image"])
@pytest.mark.parametrize("shape", [(2,), (2, 1)])
@pytest.mark.parametrize("raw", [True, False])
def test_files_are_decoded(infer: Any, files: list[bytes], name: str, shape: Any, raw: bool) -> None:
    contents = join_strings(files) if raw else files

    (output,) = infer(InputTensor(name, "BYTES", shape, contents)).outputs

    assert output.values.argmax(axis=1).tolist() == [0, 2]


def test_the_largest_batch_is_taken_and_no_larger_one(infer: Any, refuses: Any, files: list[bytes]) -> None:
    (output,) = infer(InputTensor("image", "BYTES", (MAX_IMAGES,), files[:1] * MAX_IMAGES)).outputs
    assert output.shape == (MAX_IMAGES, 3)

    many = InputTensor("image", "BYTES", (MAX_IMAGES + 1,), files[:1] * (MAX_IMAGES + 1))
    assert refuses(many) == ("LimitExceeded", "TOO_MANY_IMAGES", "inputs.shape")


def test_metadata_shows_two_inputs_of_different_names(find: Callable[[str], Model]) -> None:
    own, files = input_specs(find("colors"))
    assert (own.name, own.datatype, own.shape) == ("image", "UINT8", (-1, 8, 8, 3))
    assert (files.name, files.datatype, files.shape) == ("encoded_image", "BYTES", (-1,))


def tensor(
    name: str = "image", datatype: str = "UINT8", shape: Any = (1, *SHAPE), contents: Any = bytes(192)
):
    return InputTensor(name, datatype, shape, contents)


@pytest.mark.parametrize(
    ("given", "refusal"),
    [
        ((), ("InvalidInput", "INPUT_COUNT_INVALID", "inputs")),
        ((tensor(), tensor()), ("InvalidInput", "INPUT_COUNT_INVALID", "inputs")),
        ((tensor("pixels"),), ("InvalidInput", "INPUT_UNKNOWN", "inputs.name")),
        ((tensor("x" * 100_000),), ("InvalidInput", "INPUT_UNKNOWN", "inputs.name")),
        ((tensor(datatype="FP32"),), ("InvalidInput", "DATATYPE_INVALID", "inputs.datatype")),
        ((tensor(datatype=""),), ("InvalidInput", "DATATYPE_INVALID", "inputs.datatype")),
        ((tensor("encoded_image"),), ("InvalidInput", "DATATYPE_INVALID", "inputs.datatype")),
        ((tensor(shape=()),), ("InvalidInput", "SHAPE_INVALID", "inputs.shape")),
        ((tensor(shape=SHAPE),), ("InvalidInput", "SHAPE_INVALID", "inputs.shape")),
        ((tensor(shape=(1, 8, 8, 4)),), ("InvalidInput", "SHAPE_INVALID", "inputs.shape")),
        ((tensor(shape=(0, *SHAPE)),), ("InvalidInput", "SHAPE_INVALID", "inputs.shape")),
        ((tensor(shape=(-1, *SHAPE)),), ("InvalidInput", "SHAPE_INVALID", "inputs.shape")),
        ((tensor(shape=(1 << 62, *SHAPE)),), ("LimitExceeded", "TOO_MANY_IMAGES", "inputs.shape")),
        ((tensor(shape=(7,) * 50_000),), ("InvalidInput", "SHAPE_INVALID", "inputs.shape")),
        ((tensor(contents=bytes(191)),), ("InvalidInput", "CONTENTS_INVALID", "inputs.contents")),
        ((tensor(contents=[0] * 191),), ("InvalidInput", "CONTENTS_INVALID", "inputs.contents")),
        ((tensor(contents=[256] * 192),), ("InvalidInput", "CONTENTS_INVALID", "inputs.contents")),
        ((tensor(contents=[-1] * 192),), ("InvalidInput", "CONTENTS_INVALID", "inputs.contents")),
        ((tensor(contents=[0.5] * 192),), ("InvalidInput", "CONTENTS_INVALID", "inputs.contents")),
        ((tensor(contents=["red"] * 192),), ("InvalidInput", "CONTENTS_INVALID", "inputs.contents")),
        ((tensor("image", "BYTES", (1, 2), []),), ("InvalidInput", "SHAPE_INVALID", "inputs.shape")),
        ((tensor("image", "BYTES", (2,), [b""]),), ("InvalidInput", "CONTENTS_INVALID", "inputs.contents")),
        ((tensor("image", "BYTES", (1,), [7]),), ("InvalidInput", "CONTENTS_INVALID", "inputs.contents")),
        (
            (tensor("image", "BYTES", (1,), b"\xff"),),
            ("InvalidInput", "CONTENTS_INVALID", "raw_input_contents"),
        ),
        ((tensor("image", "BYTES", (1,), [b"GIF"]),), ("ImageError", "IMAGE_UNRECOGNISED", "image")),
    ],
    ids=lambda value: str(value)[:60],
)
def test_other_inputs_are_refused(refuses: Any, given: Any, refusal: Any) -> None:
    assert refuses(*given) == refusal


def test_messages_are_short_whatever_the_request_holds(infer: Any) -> None:
    for bad in (tensor("x" * 100_000), tensor(datatype="y" * 100_000), tensor(shape=(1 << 60,) * 40_000)):
        with pytest.raises(Exception) as raised:
            infer(bad)
        assert len(str(raised.value)) < 500


def test_an_image_at_fault_is_named_by_its_number(infer: Any, files: list[bytes]) -> None:
    with pytest.raises(Exception, match=r"^image 2 of 3: "):
        infer(InputTensor("image", "BYTES", (3,), [files[0], b"no image", files[1]]))
