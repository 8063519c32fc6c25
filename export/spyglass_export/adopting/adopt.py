"""Turn an ONNX classifier from elsewhere into a model file that a server can verify."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

from spyglass.v1.model_pb2 import ModelCard
from spyglass_contract.errors import ModelError
from spyglass_contract.model.card import validate_card
from spyglass_contract.model.certificate import Run, golden_tensor
from spyglass_export.adopting.complete import Plan, completed
from spyglass_export.adopting.foreign import (
    ImageInput,
    Network,
    find_input,
    find_output,
    reject_model_with_heatmap,
)
from spyglass_export.adopting.free_batch import batch_problem, with_free_batch
from spyglass_export.adopting.newer_opset import in_newer_opset
from spyglass_export.adopting.postprocessing import missing_activation, postprocess
from spyglass_export.adopting.preprocessing import Preprocessing, preprocess
from spyglass_export.gradcam.graph_view import GraphView
from spyglass_export.gradcam.standard_form import standard_form
from spyglass_export.heatmap import DEFAULT_HEATMAP, HeatmapOptions, with_heatmap
from spyglass_export.proving.certify import SEEDS, certify
from spyglass_export.write import write_proven


def adopt(
    model: onnx.ModelProto,
    card: ModelCard,
    preprocessing: Preprocessing,
    golden: Mapping[str, bytes],
    target: Path,
    *,
    scores: str | None = None,
    heatmap: HeatmapOptions = DEFAULT_HEATMAP,
) -> None:
    """Write the classifier `model` to the file `target`, with everything a server needs inside.

    The written graph takes uint8 pixels and returns `probabilities`: this adds nodes for `preprocessing` and
    for a missing activation, and the heatmap. `golden` holds encoded images by name. The reference of the
    certificate is the given model in ONNX Runtime, on images that numpy preprocessed. `scores` names the
    output of class scores; it is required if the model has several outputs. `card` receives colour mode,
    explained layer and certificate.

    Raises InvalidInput if `preprocessing` does not fit the network. Raises ModelError, and writes nothing,
    if the model is not a classifier of the card's input and classes, or if the written graph would return
    other probabilities than the given model.
    """
    reject_model_with_heatmap(model)
    source = _own_copy(model)
    image = find_input(source)
    image.check_size(card.input.height, card.input.width)
    preprocessing.check(image.channels, image.element)
    card.input.color_mode = image.color_mode
    validate_card(card)
    network = Network(model, find_output(source, scores))
    plan = _plan(source, card, image, preprocessing, network)
    graph = with_heatmap(_for_batches(source, card, plan), card, heatmap)
    certify(card, golden, _reference(network, plan), reference_name=f"onnxruntime {onnxruntime.__version__}")
    write_proven(graph, card, target)


def _own_copy(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy in standard form, in an opset that heatmaps support, without weights among its inputs."""
    copy = onnx.ModelProto()
    copy.CopyFrom(standard_form(in_newer_opset(model)))
    weights = {tensor.name for tensor in copy.graph.initializer}
    fed = [value for value in copy.graph.input if value.name not in weights]
    del copy.graph.input[:]
    copy.graph.input.extend(fed)
    return copy


def _plan(
    source: onnx.ModelProto,
    card: ModelCard,
    image: ImageInput,
    preprocessing: Preprocessing,
    network: Network,
) -> Plan:
    def run_on_noise(seed: int) -> NDArray[np.float32]:
        pixels = golden_tensor(seed, card.input)
        return network.run(_fed(pixels, preprocessing, image))

    outputs = np.concatenate([run_on_noise(seed) for seed in SEEDS])
    output, activation = missing_activation(GraphView(source), network.output, outputs)
    columns, classes = outputs.shape[1], len(card.class_names)
    # A network of two classes may have a single output.
    if classes != max(columns, 2):
        raise ModelError(f"the network has {max(columns, 2)} classes, but there are {classes} class names")
    return Plan(image, preprocessing, output, activation, columns)


def _fed(pixels: NDArray[np.uint8], preprocessing: Preprocessing, image: ImageInput) -> NDArray[Any]:
    return preprocess(pixels, preprocessing, channels_first=image.channels_first, element=image.element)


def _for_batches(source: onnx.ModelProto, card: ModelCard, plan: Plan) -> onnx.ModelProto:
    """The completed graph for any number of images. Raises ModelError if its batch size cannot be freed."""
    graph = completed(source, card, plan)
    if not batch_problem(graph, card):
        return graph
    freed = completed(with_free_batch(source), card, plan)
    if not (problem := batch_problem(freed, card)):
        return freed
    raise ModelError(f"the network works for one image at a time only: {problem}")


def _reference(network: Network, plan: Plan) -> Run:
    def run(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        return postprocess(network.run(_fed(pixels, plan.preprocessing, plan.image)), plan.activation)

    return run
