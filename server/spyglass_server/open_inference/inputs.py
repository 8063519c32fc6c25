"""The images of a request: files in a BYTES tensor, or the pixels of the model's own input tensor."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np
from numpy.typing import NDArray

from spyglass.v1.model_pb2 import InputSpec
from spyglass_contract.errors import InvalidInput, LimitExceeded
from spyglass_contract.images.geometry import Placement
from spyglass_contract.images.input_spec import channels
from spyglass_contract.images.pixels import Prepared
from spyglass_server.engine.models.model import Model
from spyglass_server.engine.text import quoted
from spyglass_server.open_inference.byte_strings import split_strings
from spyglass_server.open_inference.parameters import check_in_message
from spyglass_server.open_inference.tensors import BYTES, UINT8, Contents, InputTensor, TensorSpec

MAX_IMAGES = 128
"""The most images in one request."""

FILES = "image"
"""The name of the tensor of files. Together with the type it is never ambiguous."""

OTHER_FILES = "encoded_image"
"""The second name of the tensor of files, for models whose own input has the first one."""

# Numbers that are converted without a pause for other threads.
_PIECE = 64 * 1024


def input_specs(model: Model) -> tuple[TensorSpec, TensorSpec]:
    """Return the inputs of a model: its own tensor, and that of files."""
    spec = model.card.input
    return (
        TensorSpec(spec.tensor, UINT8, (-1, *_input_shape(spec))),
        TensorSpec(files_name(spec), BYTES, (-1,)),
    )


def files_name(spec: InputSpec) -> str:
    """Return the name under which the metadata of a model shows the tensor of files."""
    return OTHER_FILES if spec.tensor == FILES else FILES


def images_of(inputs: Sequence[InputTensor], model: Model) -> Sequence[bytes | Prepared]:
    """Return the images of a request to `model`: files to decode, or inputs that are ready for the network.

    Raises InvalidInput for other tensors, types, shapes and contents than the model takes, LimitExceeded for
    more than MAX_IMAGES images, and Unimplemented for shared memory.
    """
    spec = model.card.input
    if len(inputs) != 1:
        raise InvalidInput(
            f"expected one input, {_expected(spec)}, not {len(inputs)}",
            reason="INPUT_COUNT_INVALID",
            field="inputs",
        )
    tensor = inputs[0]
    check_in_message(tensor)
    if tensor.datatype == BYTES and tensor.name in (FILES, OTHER_FILES):
        return _files(tensor)
    if tensor.name != spec.tensor and tensor.name not in (FILES, OTHER_FILES):
        raise InvalidInput(
            f"{model.card.name} has no input {quoted(tensor.name)}; it has {_expected(spec)}",
            reason="INPUT_UNKNOWN",
            field="inputs.name",
        )
    if tensor.datatype != UINT8 or tensor.name != spec.tensor:
        raise InvalidInput(
            f"the input {quoted(tensor.name)} cannot be of the type {quoted(tensor.datatype)}; "
            f"expected {_expected(spec)}",
            reason="DATATYPE_INVALID",
            field="inputs.datatype",
        )
    return _pixels(tensor, spec)


def _expected(spec: InputSpec) -> str:
    shape = ", ".join(map(str, _input_shape(spec)))
    return f"{spec.tensor} of UINT8 [batch, {shape}] or {files_name(spec)} of BYTES [batch]"


def _input_shape(spec: InputSpec) -> tuple[int, int, int]:
    return spec.height, spec.width, channels(spec)


def _files(tensor: InputTensor) -> list[bytes]:
    shape = tensor.shape
    if len(shape) not in (1, 2) or shape[1:] not in ((), (1,)):
        raise _wrong_shape(tensor, "[batch] or [batch, 1]")
    count = _checked_count(tensor)
    contents = tensor.contents
    if isinstance(contents, bytes):
        return split_strings(contents, count)
    if len(contents) != count:
        raise _wrong_count(tensor, count, len(contents))
    files = [element for element in contents if isinstance(element, bytes)]
    if len(files) != count:
        raise InvalidInput(
            f"the elements of the input {quoted(tensor.name)} must be bytes",
            reason="CONTENTS_INVALID",
            field="inputs.contents",
        )
    return files


def _pixels(tensor: InputTensor, spec: InputSpec) -> list[Prepared]:
    shape = _input_shape(spec)
    if len(tensor.shape) != 4 or tensor.shape[1:] != shape:
        raise _wrong_shape(tensor, f"[batch, {', '.join(map(str, shape))}]")
    count = _checked_count(tensor)
    pixels = _elements(tensor, count * prod(shape)).reshape(count, *shape)
    whole = (0, 0, spec.width, spec.height)
    placement = Placement((0.0, 0.0, float(spec.width), float(spec.height)), whole)
    return [Prepared(image, spec.width, spec.height, placement) for image in pixels]


def _elements(tensor: InputTensor, count: int) -> NDArray[np.uint8]:
    contents = tensor.contents
    if isinstance(contents, bytes):
        if len(contents) != count:
            raise _wrong_count(tensor, count, len(contents))
        return np.frombuffer(contents, np.uint8)
    if len(contents) != count:
        raise _wrong_count(tensor, count, len(contents))
    return _as_pixels(tensor, contents)


def _as_pixels(tensor: InputTensor, contents: Contents) -> NDArray[np.uint8]:
    pixels = np.empty(len(contents), np.uint8)
    # To convert all at once would stop every other thread for seconds.
    for start in range(0, len(contents), _PIECE):
        piece = np.asarray(contents[start : start + _PIECE])
        if piece.dtype.kind not in "iu" or piece.min() < 0 or piece.max() > 255:
            raise InvalidInput(
                f"the elements of the input {quoted(tensor.name)} must be whole numbers from 0 to 255",
                reason="CONTENTS_INVALID",
                field="inputs.contents",
            )
        pixels[start : start + _PIECE] = piece
    return pixels


def _checked_count(tensor: InputTensor) -> int:
    count = tensor.shape[0]
    if count > MAX_IMAGES:
        raise LimitExceeded(
            f"a request may have {MAX_IMAGES} images, not {count:,}; send several requests",
            reason="TOO_MANY_IMAGES",
            field="inputs.shape",
        )
    if count < 1:
        raise _wrong_shape(tensor, "a batch of at least 1 image")
    return count


def _wrong_shape(tensor: InputTensor, expected: str) -> InvalidInput:
    return InvalidInput(
        f"the shape of the input {quoted(tensor.name)} must be {expected}, not "
        f"{quoted(str(list(tensor.shape[:8])))}",
        reason="SHAPE_INVALID",
        field="inputs.shape",
    )


def _wrong_count(tensor: InputTensor, expected: int, found: int) -> InvalidInput:
    raw = "raw contents" if isinstance(tensor.contents, bytes) else "contents"
    return InvalidInput(
        f"the shape of the input {quoted(tensor.name)} takes {expected:,} elements; its {raw} have {found:,}",
        reason="CONTENTS_INVALID",
        field="inputs.contents",
    )
