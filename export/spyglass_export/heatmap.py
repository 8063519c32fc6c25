"""The heatmap in the graph of a classifier that is being exported."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import onnx

from spyglass.v1.model_pb2 import TASK_CLASSIFY, ModelCard
from spyglass_contract.model.card import HeatmapMethod
from spyglass_export.gradcam import AttachedHeatmap, HeatmapError, attach_gradcam
from spyglass_export.gradcam.scores import GradientOf


@dataclass(frozen=True)
class HeatmapOptions:
    """Layer, method and score of a heatmap: arguments of `attach_gradcam`."""

    feature_map: str | None = None
    method: HeatmapMethod = "gradcam"
    gradient_of: GradientOf = "logit"


DEFAULT_HEATMAP = HeatmapOptions()

Notify = Callable[[str], object]
"""A callback. It gets what a reader of the heatmaps must know of the explained layer."""


def with_heatmap(
    graph: onnx.ModelProto,
    card: ModelCard,
    options: HeatmapOptions = DEFAULT_HEATMAP,
    notify: Notify = lambda _: None,
) -> onnx.ModelProto:
    """Return the graph of a classifier with a heatmap, or the graph of another task unchanged.

    Writes the explained layer, the method and the score into `card`, and calls `notify` with each notice
    about the layer. Raises HeatmapError if there is no feature map to explain, if an operation behind it has
    no gradient here, or if `options` are not the default and the model is not a classifier.
    """
    if card.task != TASK_CLASSIFY:
        if options != DEFAULT_HEATMAP:
            raise HeatmapError(
                "only a classifier has a heatmap; leave out the options for feature map, method and score"
            )
        return graph
    attached = attached_heatmap(graph, card, options)
    for notice in attached.notices:
        notify(notice)
    return attached.model


def attached_heatmap(graph: onnx.ModelProto, card: ModelCard, options: HeatmapOptions) -> AttachedHeatmap:
    """Attach a heatmap to the graph of a classifier, with the notices about the explained layer.

    Writes the explained layer, the method and the score into `card`. Raises HeatmapError.
    """
    attached = attach_gradcam(
        graph, feature_map=options.feature_map, method=options.method, gradient_of=options.gradient_of
    )
    card.explained_layer, card.heatmap_method = attached.layer, options.method
    card.explained_score = attached.score
    return attached
