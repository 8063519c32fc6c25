"""Gradient rules of the operators; importing this package fills the table.

Each rule is the vector-Jacobian product of one operator, in ONNX operators again. If a rule can use a node's
output instead of its input, it uses the output, so that ONNX Runtime can still fuse an activation into the
convolution or product before it.
"""

from spyglass_export.gradcam.rules import (
    activations,
    arithmetic,
    average_pooling,
    convolution,
    functions,
    indexing,
    linear,
    max_pooling,
    normalisation,
    quantisation,
    reductions,
    reshaping,
    softmax,
)

__all__ = [
    "activations",
    "arithmetic",
    "average_pooling",
    "convolution",
    "functions",
    "indexing",
    "linear",
    "max_pooling",
    "normalisation",
    "quantisation",
    "reductions",
    "reshaping",
    "softmax",
]
