"""The feature maps of a classifier from elsewhere, before it is adopted."""

from __future__ import annotations

import onnx

from spyglass_export.adopting.adopt import Options, open_network
from spyglass_export.adopting.guard import unreadable_networks
from spyglass_export.gradcam.finding.candidates import Candidates, candidate_maps
from spyglass_export.heatmap import HeatmapOptions


def list_maps(
    model: onnx.ModelProto, size: tuple[int, int], options: Options, heatmap: HeatmapOptions
) -> Candidates:
    """List the feature maps that a heatmap of the classifier `model` can explain.

    `size` is (height, width) of the network's input. Raises ModelError if the model is not a classifier of
    such images.
    """
    with unreadable_networks():
        opened = open_network(model, size, options)
        return candidate_maps(
            opened.source,
            feature_map=heatmap.feature_map,
            scores=opened.network.output,
            gradient_of=heatmap.gradient_of,
        )
