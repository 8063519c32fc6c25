"""Operators that decide how far a network can be adopted: processor-specific and integer ones."""

from __future__ import annotations

from collections.abc import Iterable

import onnx

from spyglass_contract.errors import ModelError

_PROCESSOR_LAYOUT = "com.microsoft.nchwc"
_COMPILED = "EPContext"

_INTEGER = frozenset(
    {
        "ConvInteger",
        "DynamicQuantizeLSTM",
        "DynamicQuantizeLinear",
        "DynamicQuantizeMatMul",
        "MatMulInteger",
        "MatMulIntegerToFloat",
        "QAttention",
        "QEmbedLayerNormalization",
        "QGemm",
        "QMoE",
    }
)


def reject_processor_forms(model: onnx.ModelProto) -> None:
    """Raise ModelError for a network that runs on one kind of processor only."""
    layout = sorted({node.op_type for node in model.graph.node if node.domain == _PROCESSOR_LAYOUT})
    if layout:
        raise ModelError(
            f"the network was saved with a processor-specific layout (nchwc: {', '.join(layout)}); export it "
            "again without, for example with ONNX Runtime's graph_optimization_level ORT_ENABLE_EXTENDED or "
            "lower"
        )
    if any(node.op_type == _COMPILED for node in model.graph.node):
        raise ModelError(
            f"the network is compiled for one execution provider ({_COMPILED}); give the network from before"
        )


def integer_operators(nodes: Iterable[onnx.NodeProto]) -> list[str]:
    """Return the names of the operators that compute in integers and have no gradient, each once, sorted."""
    return sorted(
        {node.op_type for node in nodes if node.op_type in _INTEGER or node.op_type.startswith("QLinear")}
    )
