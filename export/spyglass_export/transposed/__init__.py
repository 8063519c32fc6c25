"""Transposed convolutions as plain ones, which ONNX Runtime computes faster, and in integers if quantised."""

from spyglass_export.transposed.rewrite import rewrite_transposed

__all__ = ["rewrite_transposed"]
