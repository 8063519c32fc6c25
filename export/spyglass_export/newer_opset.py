"""Files of opsets from before the one that heatmaps need, such as the older ones of the ONNX Model Zoo."""

from __future__ import annotations

import onnx
from onnx import version_converter

from spyglass_contract.errors import ModelError

# The oldest that this package reads; to go no further changes the least.
OLDEST = 11


def in_newer_opset(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model itself, or its equal in opset 11 where it is older. Raises ModelError where there is none."""
    opset = max((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), default=1)
    if opset >= OLDEST:
        return model
    try:
        return version_converter.convert_version(model, OLDEST)
    # ONNX raises what its C++ raises.
    except Exception as error:
        raise ModelError(
            f"the network is of opset {opset}, older than {OLDEST}, and onnx does not convert it: {error}"
        ) from error
