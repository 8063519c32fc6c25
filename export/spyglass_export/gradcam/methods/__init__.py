"""Methods that compute a heatmap from a feature map and its gradient, before clipping at 0 and scaling."""

from __future__ import annotations

from collections.abc import Mapping

from spyglass_export.gradcam.explanation import Method
from spyglass_export.gradcam.methods.eigencam import eigencam
from spyglass_export.gradcam.methods.gradcam import gradcam
from spyglass_export.gradcam.methods.gradcam_plus_plus import gradcam_plus_plus
from spyglass_export.gradcam.methods.layercam import layercam

METHODS: Mapping[str, Method] = {
    "gradcam": gradcam,
    "gradcam++": gradcam_plus_plus,
    "layercam": layercam,
    "eigencam": eigencam,
}
