"""A network that leaves the names of a heatmap's inputs and outputs free."""

from __future__ import annotations

import onnx

from spyglass_contract.model.card import CLASS_INDEX, FEATURE_MAP, HEATMAP, METADATA_KEY, SCORES
from spyglass_export.gradcam.errors import HeatmapError
from spyglass_export.simplifying.names import moved_names, rename

_OUTPUTS = (HEATMAP, FEATURE_MAP, SCORES)


def with_free_names(model: onnx.ModelProto) -> tuple[onnx.ModelProto, dict[str, str]]:
    """Return the model or a copy without tensors of a heatmap's names, and the new names by old name.

    Raises HeatmapError for a model that has a heatmap.
    """
    reject_second_heatmap(model)
    moved = moved_names(model.graph, (CLASS_INDEX, *_OUTPUTS))
    if not moved:
        return model, {}
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    rename(copy.graph, moved)
    return copy, moved


def heatmap_output(model: onnx.ModelProto) -> str | None:
    """Return the output of a model's heatmap, None if it has no heatmap.

    A tensor may have the same name by chance: a heatmap has an output and an optional input `class_index`.
    """
    graph = model.graph
    optional = {value.name for value in graph.input} & {tensor.name for tensor in graph.initializer}
    if CLASS_INDEX not in optional:
        return None
    return next((value.name for value in graph.output if value.name in _OUTPUTS), None)


def reject_second_heatmap(model: onnx.ModelProto) -> None:
    """Raise HeatmapError for a model that has a heatmap."""
    if (found := heatmap_output(model)) is not None:
        what = "model file" if any(entry.key == METADATA_KEY for entry in model.metadata_props) else "model"
        raise HeatmapError(
            f"the {what} already has a heatmap, its output '{found}'; give a model to which no heatmap is "
            "attached"
        )
