"""Gradient rules of the operators; importing this package fills the table.

Each rule is the vector-Jacobian product of one operator, in ONNX operators again. If a rule can use a node's
output instead of its input, it uses the output, so that ONNX Runtime can still fuse an activation into the
convolution or product before it.
"""

from spyglass_export.gradcam.rules import (
    activations,
    arithmetic,
    attention,
    average_pooling,
    blocks,
    convolution,
    einsum,
    functions,
    gathering,
    indexing,
    linear,
    max_pooling,
    norm_pooling,
    normalisation,
    quantisation,
    reductions,
    repeating,
    reshaping,
    resizing,
    response_normalisation,
    scattering,
    softmax,
    transposed_convolution,
    trigonometry,
)

__all__ = [
    "activations",
    "arithmetic",
    "attention",
    "average_pooling",
    "blocks",
    "convolution",
    "einsum",
    "functions",
    "gathering",
    "indexing",
    "linear",
    "max_pooling",
    "norm_pooling",
    "normalisation",
    "quantisation",
    "reductions",
    "repeating",
    "reshaping",
    "resizing",
    "response_normalisation",
    "scattering",
    "softmax",
    "transposed_convolution",
    "trigonometry",
]
