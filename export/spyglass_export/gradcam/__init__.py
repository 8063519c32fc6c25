"""Class-activation heatmaps inside the ONNX graph of any classifier."""

from spyglass_export.gradcam.attach import attach_gradcam, explained_tensor
from spyglass_export.gradcam.errors import FeatureMapError, HeatmapError, ScoresError, UnsupportedHead

__all__ = [
    "FeatureMapError",
    "HeatmapError",
    "ScoresError",
    "UnsupportedHead",
    "attach_gradcam",
    "explained_tensor",
]
