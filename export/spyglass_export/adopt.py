"""Anyone's ONNX classifier to a model file that a server can trust."""

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
from spyglass_export.certify import SEEDS, certify
from spyglass_export.complete import Plan, completed
from spyglass_export.explain import PLAIN, Explained, with_heatmap
from spyglass_export.foreign import ImageInput, Network, find_input, find_output, refuse_explained
from spyglass_export.free_batch import batch_trouble, with_free_batch
from spyglass_export.gradcam.graph_view import GraphView
from spyglass_export.gradcam.standard_form import standard_form
from spyglass_export.newer_opset import in_newer_opset
from spyglass_export.postprocessing import missing_activation, postprocess
from spyglass_export.preprocessing import Preprocessing, preprocess
from spyglass_export.write import write_proven


def adopt(
    model: onnx.ModelProto,
    card: ModelCard,
    wanted: Preprocessing,
    golden: Mapping[str, bytes],
    target: Path,
    *,
    output: str | None = None,
    explained: Explained = PLAIN,
) -> None:
    """Writes the classifier `model` to the file `target` with what a server needs around it.

    The file takes uint8 pixels and answers `probabilities`; the nodes that this takes are added, and the
    heatmap. `golden` are encoded images by name. The certificate expects what ONNX Runtime answers by the
    model as it came, to images that numpy preprocessed. `card` receives colour mode, layer explained and
    certificate. `output` names the class scores where the model has several outputs.

    Raises InvalidInput where `wanted` does not fit the network, and ModelError, with nothing written, where
    that is no classifier of the card's input and classes, or does not answer in the file as it did before.
    """
    refuse_explained(model)
    source = _own_copy(model)
    image = find_input(source)
    image.check_size(card.input.height, card.input.width)
    wanted.check(image.channels, image.element)
    card.input.color_mode = image.color_mode
    validate_card(card)
    network = Network(model, find_output(source, output))
    plan = _plan(source, card, image, wanted, network)
    graph = with_heatmap(_for_batches(source, card, plan), card, explained)
    certify(card, golden, _reference(network, plan), reference_name=f"onnxruntime {onnxruntime.__version__}")
    write_proven(graph, card, target)


def _own_copy(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model in standard form and an opset that heatmaps can have, its inputs only those that are fed."""
    copy = onnx.ModelProto()
    copy.CopyFrom(standard_form(in_newer_opset(model)))
    weights = {tensor.name for tensor in copy.graph.initializer}
    fed = [value for value in copy.graph.input if value.name not in weights]
    del copy.graph.input[:]
    copy.graph.input.extend(fed)
    return copy


def _plan(
    source: onnx.ModelProto, card: ModelCard, image: ImageInput, wanted: Preprocessing, network: Network
) -> Plan:
    def ask(seed: int) -> NDArray[np.float32]:
        pixels = golden_tensor(seed, card.input)
        return network.run(_fed(pixels, wanted, image))

    answers = np.concatenate([ask(seed) for seed in SEEDS])
    output, activation = missing_activation(GraphView(source), network.output, answers)
    columns, classes = answers.shape[1], len(card.class_names)
    # One number speaks for two classes.
    if classes != max(columns, 2):
        raise ModelError(f"the network tells {max(columns, 2)} classes apart, but {classes} are named")
    return Plan(image, wanted, output, activation, columns)


def _fed(pixels: NDArray[np.uint8], wanted: Preprocessing, image: ImageInput) -> NDArray[Any]:
    return preprocess(pixels, wanted, channels_first=image.channels_first, element=image.element)


def _for_batches(source: onnx.ModelProto, card: ModelCard, plan: Plan) -> onnx.ModelProto:
    """The completed graph, for any number of images. Raises ModelError where one is built into it."""
    graph = completed(source, card, plan)
    if not batch_trouble(graph, card):
        return graph
    freed = completed(with_free_batch(source), card, plan)
    if not (trouble := batch_trouble(freed, card)):
        return freed
    raise ModelError(f"the network answers one image at a time only: {trouble}")


def _reference(network: Network, plan: Plan) -> Run:
    def run(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        return postprocess(network.run(_fed(pixels, plan.wanted, plan.image)), plan.activation)

    return run
