"""The gradient of a flattened feature map before a Dense layer, summed over height and width."""

from __future__ import annotations

from collections.abc import Sequence

from spyglass_export.gradcam.builder import GraphBuilder
from spyglass_export.gradcam.cotangent import Cotangent, dense
from spyglass_export.gradcam.graph_view import GraphView
from spyglass_export.gradcam.node import Node
from spyglass_export.gradcam.opset_forms import reduce
from spyglass_export.gradcam.sizes import reshape
from spyglass_export.gradcam.tensor_types import Dims
from spyglass_export.gradcam.weights import as_float32


def summed_product(
    view: GraphView, build: GraphBuilder, node: Node, gradient: Cotangent, dims: Dims, spatial: Sequence[int]
) -> str:
    """Add ΣΣ over height and width of the gradient of a Gemm's or MatMul's input: float32 [rows, channels].

    `gradient` is the gradient of the node's output. The flattened map has the sizes `dims` without the
    batch, all known; `spatial` are its axes of height and width, counted with the batch. The nodes sum the
    weight and not the gradient, because the weight is the same for every image.
    """
    turned = node.attribute("transB", 0)
    sizes = [size for size in dims if size is not None]
    weight = as_float32(view, build, node.inputs[1])
    weight = reshape(build, weight, [-1, *sizes] if turned else [*sizes, -1])
    axes = [axis if turned else axis - 1 for axis in spatial]
    summed = reduce(build, "ReduceSum", weight, axes, keepdims=False)
    alpha = node.attribute("alpha", 1.0)
    return build.add("Gemm", dense(build, gradient).name, summed, transB=1 - turned, alpha=alpha)
