"""The graph of a model file without its heatmap, in the form that is quantised."""

from __future__ import annotations

import tempfile
from pathlib import Path

import onnx

from spyglass_contract.errors import ModelError
from spyglass_contract.model.card import CLASS_INDEX, PROBABILITIES
from spyglass_contract.onnx_runtime import onnxruntime
from spyglass_export.runtime_errors import first_sentence
from spyglass_export.session_options import session_options
from spyglass_export.simplifying.node_order import keep_needed

# QuantizeLinear takes a scale for each channel since this opset.
_LEAST_OPSET = 13
# Tells ONNX Runtime's tools that the graph is prepared. Without it they log a warning.
_PREPARED = ("onnx.quant.pre_process", "onnxruntime.quant")
_WEIGHTED = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})


def classes_only(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy that computes only `probabilities`: without heatmap and `class_index`."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    graph = copy.graph
    outputs = [value for value in graph.output if value.name == PROBABILITIES]
    inputs = [value for value in graph.input if value.name != CLASS_INDEX]
    weights = [tensor for tensor in graph.initializer if tensor.name != CLASS_INDEX]
    del graph.output[:], graph.input[:], graph.initializer[:]
    graph.output.extend(outputs)
    graph.input.extend(inputs)
    graph.initializer.extend(weights)
    keep_needed(graph, PROBABILITIES)
    return copy


def fused(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the graph after ONNX Runtime's basic optimisations, without metadata; each node has a name.

    They fold constants and put normalisations into convolutions, whose numbers then need fewer roundings.
    Raises ModelError if the graph is of an old opset or ONNX Runtime cannot load it.
    """
    opset = next((each.version for each in model.opset_import if each.domain in ("", "ai.onnx")), 0)
    if opset < _LEAST_OPSET:
        raise ModelError(f"int8 needs a network of opset {_LEAST_OPSET} or newer, and this one has {opset}")
    options = session_options(onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "fused.onnx"
        options.optimized_model_filepath = str(file)
        # ONNX Runtime's exceptions have no common base class.
        try:
            onnxruntime.InferenceSession(
                model.SerializeToString(), options, providers=["CPUExecutionProvider"], enable_fallback=0
            )
        except Exception as error:
            raise ModelError(f"ONNX Runtime cannot load the network: {first_sentence(error)}") from error
        graph = onnx.load(file)
    del graph.metadata_props[:]
    graph.metadata_props.add(key=_PREPARED[0], value=_PREPARED[1])
    for index, node in enumerate(graph.graph.node):
        node.name = f"{node.op_type} {index}"
    return graph


def behind_scores(model: onnx.ModelProto) -> list[str]:
    """Return the names of the nodes behind the last weights, such as a softmax, which stay in float32.

    In int8 a probability would have 256 values, and classes that are close would become equal.
    """
    found, reaching = [], set[str]()
    for node in reversed(model.graph.node):
        if node.op_type in _WEIGHTED or reaching.intersection(node.output):
            reaching.update(node.input)
        else:
            found.append(node.name)
    return found


def weighted(model: onnx.ModelProto) -> list[str]:
    """Return the names of the nodes with weights: convolutions and products."""
    return [node.name for node in model.graph.node if node.op_type in _WEIGHTED]
