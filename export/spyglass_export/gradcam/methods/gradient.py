"""The gradient of the explained score with respect to the whole feature map."""

from __future__ import annotations

from spyglass_export.gradcam.arranged_gradient import arranged_gradient
from spyglass_export.gradcam.cotangent import Cotangent
from spyglass_export.gradcam.explanation import Explanation
from spyglass_export.gradcam.head import find_head
from spyglass_export.gradcam.reverse import reverse_pass
from spyglass_export.gradcam.selection import seed


def gradient_of(given: Explanation) -> Cotangent:
    """Add ∂score/∂A, float32 of the shape of A with rows as its batch. Raises UnsupportedHead."""
    view, build, feature_map, scores = given.view, given.build, given.feature_map, given.scores.tensor
    start = seed(view, build, given.scores)
    if feature_map.parts:
        arranged = arranged_gradient(view, build, feature_map, scores, start)
        gradient = Cotangent(arranged.whole.name, given.activations)
        given.record(gradient.name, part_gradients=arranged.parts)
    else:
        head = find_head(view, feature_map.tensor, scores)
        gradient = reverse_pass(view, build, head, start)[feature_map.tensor]
        given.record(gradient.name)
    return gradient
