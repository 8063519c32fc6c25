"""Conversion of files in an opset older than heatmaps need, such as older ones of the ONNX Model Zoo."""

from __future__ import annotations

import onnx
from onnx import version_converter

from spyglass_contract.errors import ModelError

# The oldest opset that this package reads. A conversion to a newer one would change more.
OLDEST = 11


def in_newer_opset(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model, converted to opset 11 if it is older. Raises ModelError if onnx cannot convert it."""
    opset = max((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), default=1)
    if opset >= OLDEST:
        return model
    try:
        return version_converter.convert_version(model, OLDEST)
    # onnx lets any exception of its C++ code through.
    except Exception as error:
        raise ModelError(
            f"the network's opset must be {OLDEST} or newer, not {opset}, and onnx cannot convert it: {error}"
        ) from error
