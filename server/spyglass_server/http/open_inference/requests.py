"""Bodies of inference: JSON, with the elements of tensors in it or after it."""

from __future__ import annotations

import base64
import binascii
from typing import Any

import numpy as np
from starlette.requests import Request

from spyglass.inference.v2_pb2 import InferParameter, ModelInferRequest
from spyglass_contract.errors import InvalidInput
from spyglass_server.engine.text import quoted
from spyglass_server.http.json_text import parse_json
from spyglass_server.open_inference.byte_strings import join_strings
from spyglass_server.open_inference.tensors import BYTES, UINT8

HEADER_LENGTH = "inference-header-content-length"
"""The header with the length of the JSON in a body that goes on with the elements of tensors."""

BINARY_SIZE, BINARY_OUTPUT, BINARY_DATA = "binary_data_size", "binary_data_output", "binary_data"
# Lists in lists, of a tensor as nested as the protocol allows.
_MAX_DEPTH = 8
_MAX_LISTED = 64
_SHARED = "shared_memory"
# Of a request: some images of 224 x 224 pixels.
_MAX_VALUES = 1_000_000
_OTHERWISE = f": send elements after the JSON, with {HEADER_LENGTH}"


def infer_request(request: Request, body: bytes) -> ModelInferRequest:
    """Return the message of a request to `/v2/models/{name}/versions/{version}/infer`.

    The elements of a BYTES tensor in JSON are base64, since the files of images are no text. Raises
    InvalidInput.
    """
    head, rest = _split(request, body)
    content = json_object(head)
    message = ModelInferRequest(
        model_name=request.path_params["model"],
        model_version=request.path_params.get("version", ""),
        id=_text(content, "id"),
    )
    _add_parameters(message.parameters, content.get("parameters"), "parameters")
    for number, tensor in enumerate(_list(content, "inputs")):
        rest = _add_input(message, _object(tensor, f"inputs[{number}]"), rest)
    if rest:
        raise _invalid(f"{len(rest):,} bytes follow the elements of the last input", "inputs")
    for number, output in enumerate(_list(content, "outputs")):
        entry = _object(output, f"outputs[{number}]")
        added = message.outputs.add(name=_text(entry, "name"))
        _add_parameters(added.parameters, entry.get("parameters"), "outputs.parameters")
    return message


def _split(request: Request, body: bytes) -> tuple[bytes, bytes]:
    text = request.headers.get(HEADER_LENGTH)
    if text is None:
        return body, b""
    if not text.isdecimal() or len(text) > 18 or int(text) > len(body):
        raise InvalidInput(
            f"{HEADER_LENGTH} must be the length of the JSON, at most that of the body, {len(body):,}; "
            f"not {quoted(text)}",
            reason="HEADER_INVALID",
            field=HEADER_LENGTH,
        )
    return body[: int(text)], body[int(text) :]


def _add_input(message: ModelInferRequest, tensor: dict[str, Any], rest: bytes) -> bytes:
    """Add an input, and return what follows its elements."""
    shape = tensor.get("shape")
    if not isinstance(shape, list) or not all(_is_size(size) for size in shape[:_MAX_LISTED]):
        raise _invalid("the shape of an input must be a list of whole numbers", "inputs.shape")
    if len(shape) > _MAX_LISTED:
        raise _invalid(f"the shape of an input has at most {_MAX_LISTED} sizes", "inputs.shape")
    added = message.inputs.add(name=_text(tensor, "name"), datatype=_text(tensor, "datatype"), shape=shape)
    parameters = _object(tensor.get("parameters", {}), "inputs.parameters")
    size = parameters.get(BINARY_SIZE)
    kept = {key: value for key, value in parameters.items() if key != BINARY_SIZE}
    _add_parameters(added.parameters, kept, "inputs.parameters")
    if size is None and "data" not in tensor and any(key.startswith(_SHARED) for key in kept):
        # Refused later, as in gRPC's requests.
        message.raw_input_contents.append(b"")
        return rest
    if size is None:
        message.raw_input_contents.append(_elements(added.datatype, tensor.get("data")))
        return rest
    if not _is_size(size) or size > len(rest):
        raise _invalid(
            f"{BINARY_SIZE} must be a number of bytes, at most those that follow, {len(rest):,}",
            f"inputs.parameters.{BINARY_SIZE}",
        )
    if "data" in tensor:
        raise _invalid(f"an input has data or {BINARY_SIZE}, not both", "inputs.data")
    message.raw_input_contents.append(rest[:size])
    return rest[size:]


def _elements(datatype: str, data: object) -> bytes:
    """Return elements in JSON in the raw form. What the model does not take is checked later."""
    if data is None:
        raise _invalid(f"an input needs data, or the parameter {BINARY_SIZE}", "inputs.data")
    flat = _flat(data)
    if datatype == BYTES:
        return join_strings([_decoded(each) for each in flat])
    if datatype != UINT8:
        return b""
    try:
        numbers = np.asarray(flat)
    except (ValueError, OverflowError):
        numbers = np.zeros(1)
    if flat and (numbers.dtype.kind not in "iu" or numbers.min() < 0 or numbers.max() > 255):
        raise _invalid("the data of a UINT8 input must be whole numbers from 0 to 255", "inputs.data")
    return numbers.astype(np.uint8).tobytes()


def _flat(data: object, depth: int = _MAX_DEPTH) -> list[Any]:
    if not isinstance(data, list):
        raise _invalid("the data of an input must be a list", "inputs.data")
    if not any(isinstance(each, list) for each in data):
        return data
    if not depth:
        raise _invalid(f"the data of an input may be nested {_MAX_DEPTH} times", "inputs.data")
    return [element for each in data for element in _flat(each, depth - 1)]


def _decoded(element: object) -> bytes:
    try:
        return base64.b64decode(str(element).encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError):
        raise _invalid("the data of a BYTES input must be files in base64", "inputs.data") from None


def _add_parameters(target: Any, parameters: object, field: str) -> None:
    for key, value in _object({} if parameters is None else parameters, field).items():
        if isinstance(value, bool):
            target[key].CopyFrom(InferParameter(bool_param=value))
        elif isinstance(value, int) and -(2**63) <= value < 2**63:
            target[key].CopyFrom(InferParameter(int64_param=value))
        elif isinstance(value, float):
            target[key].CopyFrom(InferParameter(double_param=value))
        elif isinstance(value, str):
            target[key].CopyFrom(InferParameter(string_param=value))
        else:
            raise _invalid(f"the parameter {quoted(key)} must be a text, a number or a truth value", field)


def json_object(body: bytes) -> dict[str, Any]:
    """Return the object in a body; an empty body is an empty object. Raises InvalidInput."""
    value = parse_json(body or b"{}", most_values=_MAX_VALUES, otherwise=_OTHERWISE)
    return _object(value, "body")


def _object(value: object, field: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _invalid(f"{field} must be an object", field)
    return value


def _list(content: dict[str, Any], key: str) -> list[Any]:
    value = content.get(key, [])
    if not isinstance(value, list) or len(value) > _MAX_LISTED:
        raise _invalid(f"{key} must be a list of at most {_MAX_LISTED} tensors", key)
    return value


def _text(content: dict[str, Any], key: str) -> str:
    value = content.get(key, "")
    if not isinstance(value, str):
        raise _invalid(f"{key} must be a text", key)
    return value


def _is_size(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63


def _invalid(message: str, field: str) -> InvalidInput:
    return InvalidInput(message, reason="JSON_INVALID", field=field)
