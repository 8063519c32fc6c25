"""Transposed convolutions as plain ones, which ONNX Runtime computes faster on a CPU and can quantise."""

from spyglass_export.transposed.rewrite import rewrite_transposed

__all__ = ["rewrite_transposed"]
