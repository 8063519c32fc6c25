"""Element type and dimensions of every tensor in a model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import onnx
from onnx import TensorProto

from spyglass_export.gradcam.skeleton import skeleton

# Sizes; None if a size is known only at run time.
Dims = tuple[int | None, ...]

FLOATING = frozenset({TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.DOUBLE})
# A quantised tensor stands for real values: their gradient passes straight through the rounding.
QUANTISED = frozenset({TensorProto.INT8, TensorProto.UINT8, TensorProto.INT16, TensorProto.UINT16})


@dataclass(frozen=True)
class TensorType:
    """`element` is as in TensorProto.DataType; `dims` is None if even the rank is unknown.

    `images` is the axis whose size is known to be the number of images of the batch, None if no axis is.
    """

    element: int
    dims: Dims | None
    images: int | None = None


def infer_types(model: onnx.ModelProto, batch: int | None = None) -> dict[str, TensorType]:
    """Return the types of inputs and weights, and of all other tensors whose type ONNX can infer.

    If `batch` is given, it is the number of images wherever the model leaves it free.
    """
    light = skeleton(model)
    if batch is not None:
        _fix_batch(light.graph, batch)
    graph = onnx.shape_inference.infer_shapes(light, data_prop=True).graph
    types = {tensor.name: TensorType(tensor.data_type, tuple(tensor.dims)) for tensor in graph.initializer}
    name = _name_of_batch(model.graph)
    for values in (graph.input, graph.value_info, graph.output):
        types.update(_read(values, name))
    return types


def _fix_batch(graph: onnx.GraphProto, batch: int) -> None:
    """Set the free first size of each input in place, and drop the sizes that the file states elsewhere."""
    for value in graph.input:
        sizes = value.type.tensor_type.shape.dim
        if sizes and not sizes[0].HasField("dim_value"):
            sizes[0].dim_value = batch
    del graph.value_info[:]
    for value in graph.output:
        value.type.tensor_type.ClearField("shape")


def _name_of_batch(graph: onnx.GraphProto) -> str:
    """The name of the first dimension of the first input that is no weight, empty if it has none."""
    weights = {tensor.name for tensor in graph.initializer}
    for value in graph.input:
        if value.name not in weights and value.type.tensor_type.shape.dim:
            return value.type.tensor_type.shape.dim[0].dim_param
    return ""


def unsettled(types: Mapping[str, TensorType], inputs: Iterable[str], names: Iterable[str]) -> list[str]:
    """Return those of `names` whose inferred type is incomplete.

    A type is incomplete if its rank is unknown. If only the batch of the model's inputs is free, a type is
    also incomplete if any other size is unknown.
    """
    fixed = only_batch_is_free(types, inputs)
    return [name for name in names if not _settled(types.get(name), fixed)]


def only_batch_is_free(types: Mapping[str, TensorType], inputs: Iterable[str]) -> bool:
    """Return whether all sizes of the model's inputs are known, except perhaps the batch."""
    return all(_fixed_beyond_batch(types.get(name)) for name in inputs)


def _settled(found: TensorType | None, fixed: bool) -> bool:
    return _fixed_beyond_batch(found) if fixed else found is not None and found.dims is not None


def _fixed_beyond_batch(found: TensorType | None) -> bool:
    return found is not None and found.dims is not None and None not in found.dims[1:]


def _read(values: Iterable[onnx.ValueInfoProto], batch: str) -> dict[str, TensorType]:
    return {
        value.name: TensorType(
            value.type.tensor_type.elem_type,
            _dims(value.type.tensor_type),
            _images(value.type.tensor_type, batch),
        )
        for value in values
        if value.type.HasField("tensor_type") and value.type.tensor_type.elem_type
    }


def _dims(tensor: onnx.TypeProto.Tensor) -> Dims | None:
    if not tensor.HasField("shape"):
        return None
    return tuple(dim.dim_value if dim.HasField("dim_value") else None for dim in tensor.shape.dim)


def _images(tensor: onnx.TypeProto.Tensor, batch: str) -> int | None:
    names = [dim.dim_param for dim in tensor.shape.dim]
    return names.index(batch) if batch and batch in names else None
