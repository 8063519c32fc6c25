"""Operators that decide how far a network can be adopted: processor-specific and integer ones."""

from __future__ import annotations

from collections.abc import Iterable

import onnx

from spyglass_contract.errors import ModelError
from spyglass_export.simplifying.node_order import all_nodes

_PROCESSOR_LAYOUTS = {"com.microsoft.nchwc": "nchwc", "com.ms.internal.nhwc": "nhwc"}
_COMPILED = "EPContext"

_INTEGER = frozenset(
    {
        "ConvInteger",
        "DynamicQuantizeLSTM",
        "DynamicQuantizeLinear",
        "DynamicQuantizeMatMul",
        "GatherBlockQuantized",
        "MatMulBnb4",
        "MatMulInteger",
        "MatMulIntegerToFloat",
        "MatMulNBits",
        "QAttention",
        "QEmbedLayerNormalization",
        "QGemm",
        "QMoE",
    }
)

_PREFIXES = ("QLinear", "QOrdered")


def reject_processor_forms(model: onnx.ModelProto) -> None:
    """Raise ModelError for a network that runs on one kind of processor only."""
    nodes = list(all_nodes(model.graph))
    for domain, layout in _PROCESSOR_LAYOUTS.items():
        found = sorted({node.op_type for node in nodes if node.domain == domain})
        if found:
            raise ModelError(
                f"the network was saved with a processor-specific layout ({layout}: {', '.join(found)}); "
                "export it again without, for example with ONNX Runtime's graph_optimization_level "
                "ORT_ENABLE_EXTENDED or lower"
            )
    if any(node.op_type == _COMPILED for node in nodes):
        raise ModelError(
            f"the network is compiled for one execution provider ({_COMPILED}); "
            "give the file that it was compiled from"
        )


def integer_operators(nodes: Iterable[onnx.NodeProto]) -> list[str]:
    """Return the names of the operators that compute in integers and have no gradient, each once, sorted."""
    return sorted(
        {node.op_type for node in nodes if node.op_type in _INTEGER or node.op_type.startswith(_PREFIXES)}
    )
