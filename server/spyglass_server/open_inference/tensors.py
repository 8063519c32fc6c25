"""Requests and results of the Open Inference Protocol v2, as values that gRPC and HTTP share.

They do not change once they are made. They are not frozen, because each request makes several, and a frozen
one takes three times as long to make.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from spyglass_server.open_inference.byte_strings import join_strings

if TYPE_CHECKING:
    from spyglass.v1.reply_pb2 import ServedBy
    from spyglass_server.engine.models.model import Model

BYTES, FP32, UINT8 = "BYTES", "FP32", "UINT8"
"""The types of elements that this server takes or returns, by the protocol's names."""

Value = bool | int | float | str
"""The value of a parameter."""

Contents = bytes | Sequence[int] | Sequence[bytes] | NDArray[np.generic]
"""The elements of a tensor in row-major order: raw little-endian bytes, or one value for each element."""

NO_PARAMETERS: Mapping[str, Value] = {}


@dataclass(slots=True)
class InputTensor:
    """An input as the caller sent it; nothing of it is checked."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    contents: Contents
    parameters: Mapping[str, Value] = field(default_factory=dict)


@dataclass(slots=True)
class RequestedOutput:
    """An output that the caller requests; nothing of it is checked."""

    name: str
    parameters: Mapping[str, Value] = field(default_factory=dict)


@dataclass(slots=True)
class InferRequest:
    """A batch of images for a model; nothing of it is checked."""

    model_name: str
    # A version, a label, or empty.
    model_version: str
    id: str
    inputs: tuple[InputTensor, ...]
    # Empty: the default outputs of the model.
    outputs: tuple[RequestedOutput, ...] = ()
    parameters: Mapping[str, Value] = field(default_factory=dict)


@dataclass(slots=True)
class OutputTensor:
    """An output: an array, or the texts of a BYTES tensor in row-major order."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    values: NDArray[np.generic] | list[bytes]

    def raw(self) -> bytes:
        """Return the elements in the protocol's raw form: row-major, little-endian."""
        if isinstance(self.values, list):
            return join_strings(self.values)
        return self.values.tobytes()


@dataclass(slots=True)
class InferResult:
    """The outputs of a batch, and the model that computed them."""

    id: str
    model: Model
    # Which file computed the outputs, where, and in which precision.
    served_by: ServedBy
    outputs: tuple[OutputTensor, ...]
    # The server had the outputs of every image in its response cache.
    cached: bool = False


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """A tensor of a model, as its metadata shows it."""

    name: str
    datatype: str
    # With the batch; -1: any size.
    shape: tuple[int, ...]
