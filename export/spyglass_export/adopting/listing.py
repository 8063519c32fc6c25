"""The feature maps of a classifier from elsewhere, before it is adopted."""

from __future__ import annotations

from dataclasses import replace

import onnx

from spyglass_export.adopting.adopt import Options, open_network
from spyglass_export.adopting.explaining import way_out
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
        found = candidate_maps(
            opened.source,
            feature_map=heatmap.feature_map,
            scores=opened.network.output,
            gradient_of=heatmap.gradient_of,
        )
        if heatmap.feature_map or any(each.chosen and each.has_gradient for each in found.maps):
            return found
        return replace(found, problem=way_out(opened.source) or found.problem)
