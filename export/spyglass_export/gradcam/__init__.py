"""Class-activation heatmaps inside the ONNX graph of any classifier."""

from spyglass_export.gradcam.attach import AttachedHeatmap, attach_gradcam
from spyglass_export.gradcam.errors import (
    Advice,
    FeatureMapError,
    HeatmapError,
    ScoresError,
    UnsupportedHead,
    with_advice,
)

__all__ = [
    "Advice",
    "AttachedHeatmap",
    "FeatureMapError",
    "HeatmapError",
    "ScoresError",
    "UnsupportedHead",
    "attach_gradcam",
    "with_advice",
]
