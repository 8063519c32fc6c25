"""The options of every session of ONNX Runtime that this package opens."""

from __future__ import annotations

from spyglass_contract.onnx_runtime import onnxruntime


def session_options(
    optimisation: onnxruntime.GraphOptimizationLevel = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL,
) -> onnxruntime.SessionOptions:
    """Return options with this level of optimisation, which log nothing: errors are raised all the same.

    One of the warnings complains that callers can override `class_index`, which is intended.
    """
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = optimisation
    # An export opens many sessions for a few runs each. Threads that spin without work between those runs
    # take two thirds of its processor time.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options
