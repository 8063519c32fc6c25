"""A convolution as a matrix product, which ONNX Runtime has in double precision."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper


def as_product(
    node: onnx.NodeProto, image: Sequence[int], weight: Sequence[int]
) -> list[onnx.NodeProto] | None:
    """Return nodes in place of a Conv over images; None if its sizes are unknown.

    `image` [batch, channels, height, width] and `weight` [filters, channels of a group, height, width] are
    the sizes of its inputs, 0 for an unknown one. The nodes gather each place's window into a column
    (Chellapilla et al. 2006).
    """
    if len(image) != 4 or len(weight) != 4 or 0 in (*image[1:], *weight):
        return None
    attributes = {each.name: helper.get_attribute_value(each) for each in node.attribute}
    groups, label = attributes.get("group", 1), node.output[0]
    kernel, window = weight[2:], weight[1] * math.prod(weight[2:])
    before, after = _pads(attributes, image[2:], kernel)
    rows, columns = (
        _read(image[axis + 2] + before[axis] + after[axis], kernel[axis], axis, attributes) for axis in (0, 1)
    )
    made = _Nodes(label)
    pads = made.constant([0, 0, *before, 0, 0, *after])
    padded = made.add("Pad", node.input[0], pads)
    read = made.add("Gather", padded, made.constant(rows), axis=2)
    read = made.add("Gather", read, made.constant(columns), axis=4)
    read = made.add("Transpose", read, perm=[0, 1, 2, 4, 3, 5])
    read = made.add("Reshape", read, made.constant([0, groups, window, -1]))
    filters = made.add("Reshape", node.input[1], made.constant([1, groups, -1, window]))
    shape = made.constant([0, weight[0], rows.shape[1], columns.shape[1]])
    result = made.add("Reshape", made.add("MatMul", filters, read), shape)
    if len(node.input) > 2 and node.input[2]:
        result = made.add("Add", result, made.add("Reshape", node.input[2], made.constant([1, -1, 1, 1])))
    made.nodes.append(helper.make_node("Identity", [result], [label]))
    return made.nodes


def _read(size: int, kernel: int, axis: int, attributes: dict[str, Sequence[int]]) -> np.ndarray:
    """The indices that a window reads along one axis, int64 [kernel, places]."""
    stride, dilation = (attributes.get(name, (1, 1))[axis] for name in ("strides", "dilations"))
    places = (size - dilation * (kernel - 1) - 1) // stride + 1
    return dilation * np.arange(kernel)[:, None] + stride * np.arange(places)


def _pads(
    attributes: dict[str, Sequence[int]], image: Sequence[int], kernel: Sequence[int]
) -> tuple[list[int], list[int]]:
    """The zeros before and after each axis."""
    if (mode := attributes.get("auto_pad", b"NOTSET")) in (b"NOTSET", b"VALID"):
        pads = list(attributes.get("pads", [0] * 4)) if mode == b"NOTSET" else [0] * 4
        return pads[:2], pads[2:]
    missing = list(_missing(attributes, image, kernel))
    less, more = [each // 2 for each in missing], [each - each // 2 for each in missing]
    return (less, more) if mode == b"SAME_UPPER" else (more, less)


def _missing(
    attributes: dict[str, Sequence[int]], image: Sequence[int], kernel: Sequence[int]
) -> Iterator[int]:
    """The number of zeros that give one place for each stride."""
    for axis, size in enumerate(image):
        stride, dilation = (attributes.get(name, (1, 1))[axis] for name in ("strides", "dilations"))
        covered = (math.ceil(size / stride) - 1) * stride + dilation * (kernel[axis] - 1) + 1
        yield max(covered - size, 0)


class _Nodes:
    """New nodes whose tensors are named after the tensor `label`."""

    def __init__(self, label: str) -> None:
        self._label, self.nodes = label, list[onnx.NodeProto]()

    def constant(self, values: Sequence[int] | np.ndarray) -> str:
        return self.add("Constant", value=numpy_helper.from_array(np.asarray(values, np.int64)))

    def add(self, op_type: str, *inputs: str, **attributes: Any) -> str:
        name = f"{self._label} as product {len(self.nodes)}"
        self.nodes.append(helper.make_node(op_type, inputs, [name], **attributes))
        return name
