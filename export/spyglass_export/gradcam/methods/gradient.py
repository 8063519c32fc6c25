"""The gradient of the explained score with respect to the whole feature map."""

from __future__ import annotations

from spyglass_export.gradcam.cotangent import Cotangent
from spyglass_export.gradcam.explanation import Explanation
from spyglass_export.gradcam.head import find_head
from spyglass_export.gradcam.reverse import reverse_pass
from spyglass_export.gradcam.selection import seed


def gradient_of(given: Explanation) -> Cotangent:
    """Add ∂score/∂A, float32 of the shape of A with rows as its batch. Raises UnsupportedHead."""
    tensor = given.feature_map.tensor
    head = find_head(given.view, tensor, given.scores.tensor)
    start = seed(given.view, given.build, given.scores)
    gradient = reverse_pass(given.view, given.build, head, start)[tensor]
    given.record(gradient.name)
    return gradient
