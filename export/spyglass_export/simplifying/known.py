"""What is known about a tensor for one size of the batch."""

from __future__ import annotations

from dataclasses import dataclass

import onnx
from onnx import helper

from spyglass_export.simplifying.evaluation import Array

Dims = tuple[int | None, ...]


@dataclass(frozen=True, eq=False)
class Known:
    """What is known about a tensor; None if it is unknown."""

    type: onnx.TypeProto | None = None
    value: Array | None = None

    @property
    def dims(self) -> Dims | None:
        """The dimensions, with None for each unknown size; None if the rank is unknown."""
        if self.type is None or not self.type.tensor_type.HasField("shape"):
            return None
        sizes = self.type.tensor_type.shape.dim
        return tuple(size.dim_value if size.HasField("dim_value") else None for size in sizes)


NOTHING = Known()


def of_value(value: Array) -> Known:
    """Return what is known about a tensor of this value."""
    kind = helper.make_tensor_type_proto(helper.np_dtype_to_tensor_dtype(value.dtype), value.shape)
    return Known(kind, value)
