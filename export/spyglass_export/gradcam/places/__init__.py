"""Where in the image each number of a tensor belongs."""

from spyglass_export.gradcam.places.placement import Placement
from spyglass_export.gradcam.places.places import Places

__all__ = ["Placement", "Places"]
