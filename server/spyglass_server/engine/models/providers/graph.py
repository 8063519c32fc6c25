"""What an ONNX file says about itself: its card, its inputs and its outputs."""

from __future__ import annotations

from dataclasses import dataclass

from spyglass.v1.model_pb2 import TASK_SEGMENT, ModelCard
from spyglass_contract.errors import CardError
from spyglass_contract.images.input_spec import channels
from spyglass_contract.model.card import (
    CLASS_INDEX,
    FEATURE_MAP,
    HEATMAP,
    PROBABILITIES,
    SCORE_CAM,
    SCORES,
    read_card,
)
from spyglass_contract.model_files.model_file import ModelFile
from spyglass_contract.onnx_runtime import onnxruntime
from spyglass_server.engine.models.providers.onnx_sessions import CPU, open_session, session_options

# Sizes of a tensor; a name stands for a size that is free.
Shape = list[int | str | None]


@dataclass(frozen=True)
class Graph:
    """The ends of a graph, and its card."""

    card: ModelCard
    # ONNX Runtime's type and shape of each required input.
    inputs: dict[str, tuple[str, Shape]]
    # The inputs that have a default value.
    optional: frozenset[str]
    outputs: dict[str, Shape]

    @property
    def one_image(self) -> bool:
        """True if the graph takes one image at a time."""
        return self.inputs[self.card.input.tensor][1][0] == 1

    @property
    def explains(self) -> bool:
        """True if the graph computes heatmaps for requested classes."""
        return bool(self.card.explained_layer)


def read_graph(file: ModelFile) -> Graph:
    """Read a file, and check its graph against its card.

    The session for it neither optimises the graph nor packs its weights: that takes less than half of the
    time. Raises ModelError if ONNX Runtime cannot load the file, and CardError.
    """
    options = session_options(1)
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.add_session_config_entry("session.disable_prepacking", "1")
    session = open_session(file, options, [CPU])
    graph = Graph(
        read_card(session),
        {entry.name: (entry.type, list(entry.shape)) for entry in session.get_inputs()},
        frozenset(entry.name for entry in session.get_overridable_initializers()),
        {entry.name: list(entry.shape) for entry in session.get_outputs()},
    )
    _check(graph)
    return graph


def _check(graph: Graph) -> None:
    """Raise CardError if the graph differs from its card."""
    card, spec = graph.card, graph.card.input
    if spec.tensor not in graph.inputs:
        raise CardError(f"the graph has no input {spec.tensor!r}, which the card names")
    found, shape = graph.inputs[spec.tensor]
    expected = [spec.height, spec.width, channels(spec)]
    if found != "tensor(uint8)" or shape[1:] != expected:
        raise CardError(
            f"the input {spec.tensor!r} is {found} {shape}, not tensor(uint8) of {['batch', *expected]}"
        )
    if PROBABILITIES not in graph.outputs:
        raise CardError(f"the graph has no output {PROBABILITIES!r}")
    probabilities = graph.outputs[PROBABILITIES]
    if card.task == TASK_SEGMENT and len(probabilities) != 4:
        raise CardError(
            f"the card says segment; {probabilities} is not ['batch', 'height', 'width', 'classes']"
        )
    needed = {FEATURE_MAP, SCORES} if card.heatmap_method == SCORE_CAM else {HEATMAP}
    explains = needed <= set(graph.outputs) and CLASS_INDEX in graph.optional
    if explains != graph.explains:
        raise CardError(
            f"the graph has {'a' if explains else 'no'} heatmap by the method "
            f"{card.heatmap_method or 'gradcam'!r}, and the card names the explained layer "
            f"{card.explained_layer!r}"
        )
