"""The gradient of a flattened feature map before a Dense layer, summed over height and width."""

from __future__ import annotations

from collections.abc import Sequence

from spyglass_export.gradcam.builder import GraphBuilder
from spyglass_export.gradcam.cotangent import Cotangent, OneHot, dense
from spyglass_export.gradcam.graph_view import GraphView
from spyglass_export.gradcam.node import Node
from spyglass_export.gradcam.opset_forms import reduce
from spyglass_export.gradcam.sizes import reshape
from spyglass_export.gradcam.tensor_types import Dims
from spyglass_export.gradcam.weights import as_float32


def summed_product(
    view: GraphView,
    build: GraphBuilder,
    node: Node,
    gradient: Cotangent | OneHot,
    dims: Dims,
    spatial: Sequence[int],
) -> str:
    """Add ΣΣ over height and width of the gradient of a Gemm's or MatMul's input: float32 [rows, channels].

    `gradient` is the gradient of the node's output. The flattened map has the sizes `dims` without the
    batch, all known; `spatial` are its axes of height and width, counted with the batch. The nodes sum the
    weight and not the gradient, because the weight is the same for every image. ONNX Runtime computes that
    sum when it loads the file; a one-hot gradient then needs one row of it.
    """
    turned = node.attribute("transB", 0)
    sizes = [size for size in dims if size is not None]
    weight = as_float32(view, build, node.inputs[1])
    weight = reshape(build, weight, [-1, *sizes] if turned else [*sizes, -1])
    axes = [axis if turned else axis - 1 for axis in spatial]
    summed = reduce(build, "ReduceSum", weight, axes, keepdims=False)
    alpha = node.attribute("alpha", 1.0)
    if isinstance(gradient, Cotangent):
        return build.add("Gemm", dense(build, gradient).name, summed, transB=1 - turned, alpha=alpha)
    return _row(build, summed, gradient, 1 - turned, alpha)


def _row(build: GraphBuilder, summed: str, gradient: OneHot, axis: int, alpha: float) -> str:
    """The summed weights of each row's class, which are along `axis`, float32 [rows, channels]."""
    row = build.add("Gather", summed, gradient.selected, axis=axis)
    if axis == 1:
        row = build.add("Transpose", row, perm=[1, 0])
    factors = [build.floats(alpha)] if alpha != 1 else []
    factors += [gradient.value.name] if gradient.value is not None else []
    for factor in factors:
        row = build.add("Mul", row, factor)
    return row
