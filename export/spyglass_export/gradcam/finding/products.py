"""The operators that combine numbers of several channels or places with weights or activations."""

from __future__ import annotations

from spyglass_export.gradcam.finding.flow import Flow
from spyglass_export.gradcam.graph_view import GraphView

PRODUCTS = frozenset(
    {
        "Attention",
        "Conv",
        "ConvInteger",
        "ConvTranspose",
        "Einsum",
        "Gemm",
        "MatMul",
        "MatMulInteger",
        "com.microsoft.FusedConv",
    }
)


def computed_without_products(view: GraphView, flow: Flow, tensor: str) -> set[str]:
    """Return the tensors that depend on the image through `tensor` only, and through no product."""
    own = {tensor}
    for node in view.nodes:
        read = flow.inputs_of(node)
        if read and own.issuperset(read) and node.op_type not in PRODUCTS:
            own.update(name for name in node.outputs if flow.carries(name))
    return own
