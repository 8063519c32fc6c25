"""Transposed convolutions rewritten as plain convolutions.

ONNX Runtime computes plain convolutions faster, and in integers if the model is quantised.
"""

from spyglass_export.transposed.rewrite import rewrite_transposed

__all__ = ["rewrite_transposed"]
