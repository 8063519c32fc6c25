"""What images contribute to outputs, in the response cache."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from spyglass_server.open_inference.byte_strings import join_strings, split_strings
from spyglass_server.open_inference.outputs import Part
from spyglass_server.open_inference.tensors import InferRequest, Value

_HEADER_LENGTH = 4
# The parameters of a request that change nothing in its outputs. Any other one may.
_NO_OPTIONS = frozenset(
    {
        "timeout",
        "priority",
        "sequence_id",
        "sequence_start",
        "sequence_end",
        # How outputs are written, over HTTP.
        "binary_data_output",
        "binary_data",
    }
)


@dataclass(frozen=True, slots=True)
class ImageParts:
    """What one image contributes to each output of a request."""

    parts: Sequence[Part]
    # They were kept from an earlier request.
    cached: bool = False


def options_of(request: InferRequest) -> bytes:
    """Return the outputs of a request and every parameter that may change them."""
    outputs = [[each.name, _options(each.parameters)] for each in request.outputs]
    return b"inference\0" + json.dumps([outputs, _options(request.parameters)]).encode()


def _options(parameters: Mapping[str, Value]) -> list[tuple[str, Value]]:
    return sorted(item for item in parameters.items() if item[0] not in _NO_OPTIONS)


def kept_parts(parts: Sequence[Part]) -> bytes:
    """Return parts as bytes: a header in JSON with their types, shapes and lengths, and their elements."""
    described, elements = [], []
    for part in parts:
        texts = isinstance(part, list)
        data = join_strings(part) if texts else part.tobytes()
        described.append(("", [len(part)], len(data)) if texts else (part.dtype.str, part.shape, len(data)))
        elements.append(data)
    header = json.dumps(described).encode()
    return b"".join((len(header).to_bytes(_HEADER_LENGTH, "little"), header, *elements))


def restored_parts(kept: bytes) -> list[Part]:
    """Return the parts in the bytes of `kept_parts`; arrays are read-only views of the bytes."""
    start = _HEADER_LENGTH + int.from_bytes(kept[:_HEADER_LENGTH], "little")
    parts: list[Part] = []
    for datatype, shape, length in json.loads(kept[_HEADER_LENGTH:start]):
        if datatype:
            values = np.frombuffer(kept, datatype, prod(shape), start)
            parts.append(values.reshape(shape))
        else:
            parts.append(split_strings(kept[start : start + length], shape[0]))
        start += length
    return parts
