"""Types of all tensors, and values of those that depend on sizes only, for assumed sizes of the batch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
from onnx import helper, numpy_helper

from spyglass_export.simplifying.evaluation import LARGEST, Array
from spyglass_export.simplifying.known import NOTHING, Known
from spyglass_export.simplifying.node_outputs import NodeOutputs

# What holds for one image and for these batches is taken to hold for any number of images.
SIZES = (1, 2, 3, 7)
# Values of more numbers than this are weights, unless they are integers or conditions.
_SMALL = 1024


class Assumptions:
    """What is known about each tensor for each batch size in `sizes`.

    `batch_is_free` is False if the graph itself states the size of the batch. A stated batch of 1 is assumed
    to be free all the same, as its owner may run the graph on more images; the first of the `sizes` is always
    one that the graph allows.
    """

    def __init__(self, model: onnx.ModelProto) -> None:
        self._opsets = list(model.opset_import)
        self._versions = {opset.domain or "ai.onnx": opset.version for opset in model.opset_import}
        self._tables: dict[str, tuple[Known, ...]] = {}
        graph = model.graph
        given = {tensor.name for tensor in graph.initializer}
        fed = [value for value in graph.input if value.name not in given]
        self.sizes, self.batch_is_free = _assumed_sizes(fed)
        for value in graph.input:
            self._tables[value.name] = tuple(Known(_of_batch(value, fed, size)) for size in self.sizes)
        overridable = {value.name for value in graph.input}
        for tensor in graph.initializer:
            if tensor.name not in overridable:
                self.set_weight(tensor)

    def set_weight(self, tensor: onnx.TensorProto) -> None:
        """Record a constant tensor."""
        self._tables[tensor.name] = (_of_weight(tensor),) * len(self.sizes)

    def record(self, node: onnx.NodeProto) -> None:
        """Find out what is known about the outputs of a node; its inputs are recorded already."""
        inputs = [self._tables.get(name, (NOTHING,) * len(self.sizes)) for name in node.input]
        computed = NodeOutputs(node, self._opsets, self._versions)
        # Sizes for which a node reads the same have the same result.
        found: dict[tuple[int, ...], list[Known]] = {}
        results = []
        for index in range(len(self.sizes)):
            read = [each[index] for each in inputs]
            key = tuple(map(id, read))
            if key not in found:
                found[key] = computed.of(read)
            results.append(found[key])
        for position, name in enumerate(node.output):
            if name:
                self._tables[name] = tuple(result[position] for result in results)

    def forget_value(self, name: str) -> None:
        """Drop a large value that no later node reads."""
        known = self._tables.get(name, ())
        if any(each.value is not None and each.value.size > _SMALL for each in known):
            self._tables[name] = tuple(Known(each.type) for each in known)

    def dims(self, name: str, count: int | None = None) -> list[tuple[int, ...]] | None:
        """Return the dimensions for each of the first `count` batch sizes, None if any is unknown."""
        found = [each.dims for each in self._tables.get(name, ())[:count]]
        whole = [dims for dims in found if dims is not None and None not in dims]
        complete = bool(found) and len(whole) == len(found)
        return [tuple(size or 0 for size in dims) for dims in whole] if complete else None

    def values(self, name: str, count: int | None = None) -> list[Array] | None:
        """Return the value for each of the first `count` batch sizes, None if any is unknown."""
        found = [each.value for each in self._tables.get(name, ())[:count]]
        known = [value for value in found if value is not None]
        return known if known and len(known) == len(found) else None

    def value(self, name: str) -> Array | None:
        """Return the value of a tensor that is the same for every batch size."""
        found = self.values(name)
        if found is None or not all(np.array_equal(found[0], each) for each in found[1:]):
            return None
        return found[0]

    def value_in_file(self, name: str) -> Array | None:
        """Return the value of a tensor that is the same for every batch size that the graph allows."""
        if self.batch_is_free:
            return self.value(name)
        known = self._tables.get(name)
        return known[0].value if known else None


def _assumed_sizes(fed: Sequence[onnx.ValueInfoProto]) -> tuple[tuple[int, ...], bool]:
    if not fed or not fed[0].type.tensor_type.shape.dim:
        return SIZES, True
    batch = fed[0].type.tensor_type.shape.dim[0].dim_value
    if batch > 1:
        return (batch,), False
    return SIZES, batch != 1


def _of_batch(
    value: onnx.ValueInfoProto, fed: Sequence[onnx.ValueInfoProto], size: int
) -> onnx.TypeProto | None:
    """The type of an input for a batch of `size`. The first input begins with the batch."""
    if not value.type.HasField("tensor_type"):
        return None
    kind = onnx.TypeProto()
    kind.CopyFrom(value.type)
    batch = fed[0].type.tensor_type.shape.dim[0] if fed and fed[0].type.tensor_type.shape.dim else None
    for axis, dim in enumerate(kind.tensor_type.shape.dim):
        is_first = axis == 0 and bool(fed) and value.name == fed[0].name
        if is_first or (batch is not None and batch.dim_param and dim.dim_param == batch.dim_param):
            dim.dim_value = size
        elif dim.dim_value <= 0:
            dim.Clear()
    return kind


def _of_weight(tensor: onnx.TensorProto) -> Known:
    kind = helper.make_tensor_type_proto(tensor.data_type, list(tensor.dims))
    size = int(np.prod(tensor.dims, dtype=np.int64))
    integers = (onnx.TensorProto.INT64, onnx.TensorProto.INT32, onnx.TensorProto.BOOL)
    if size > (LARGEST if tensor.data_type in integers else _SMALL):
        return Known(kind)
    if tensor.data_location == onnx.TensorProto.EXTERNAL:
        return Known(kind)
    return Known(kind, numpy_helper.to_array(tensor))
