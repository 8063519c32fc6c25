"""What each operator sends back; importing this package fills the table.

Each rule is the vector-Jacobian product of one operator, in ONNX operators again. Rules read a node's
output rather than its input where either would do, so that ONNX Runtime can still fuse the activation
into the convolution or product before it.
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
    "reductions",
    "reshaping",
    "softmax",
]
