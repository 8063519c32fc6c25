"""Turn an ONNX classifier from elsewhere into a model file that a server can verify."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from spyglass.v1.model_pb2 import ModelCard
from spyglass_contract.errors import InvalidInput, ModelError
from spyglass_contract.model.card import validate_card
from spyglass_contract.model.certificate import golden_tensor
from spyglass_contract.onnx_runtime import onnxruntime
from spyglass_export.adopting.class_output import find_output, own_class_names
from spyglass_export.adopting.complete import Plan, completed, for_one_image
from spyglass_export.adopting.explaining import Explained, explained
from spyglass_export.adopting.free_batch import batch_problem, with_free_batch
from spyglass_export.adopting.guard import check_valid, unreadable_networks
from spyglass_export.adopting.image_input import ImageInput, Layout, declared_batch, find_input, with_sizes
from spyglass_export.adopting.network import Network, reject_model_with_heatmap, takes_several
from spyglass_export.adopting.newer_opset import in_newer_opset
from spyglass_export.adopting.operator_forms import reject_processor_forms
from spyglass_export.adopting.postprocessing import (
    Activation,
    Choice,
    Ending,
    missing_activation,
)
from spyglass_export.adopting.preprocessing import Preprocessing, preprocess
from spyglass_export.adopting.reference import Reference, other_roundings
from spyglass_export.adopting.several_labels import images_of_several_labels
from spyglass_export.adopting.tolerated import regular
from spyglass_export.gradcam.graph_view import GraphView
from spyglass_export.heatmap import DEFAULT_HEATMAP, HeatmapOptions
from spyglass_export.proving.certify import SEEDS, certify
from spyglass_export.proving.noise import rounding_noise, tolerance_for
from spyglass_export.simplifying import simplified
from spyglass_export.simplifying.free_sizes import with_free_sizes
from spyglass_export.simplifying.node_order import in_order, keep_needed
from spyglass_export.simplifying.standard_form import standard_form
from spyglass_export.write import write_proven


@dataclass(frozen=True)
class Options:
    """The choices for what a file does not say.

    `scores` names the tensor of class scores, required if the network has several outputs that can hold them.
    `heatmap` is None for a model without heatmaps.
    """

    scores: str | None = None
    layout: Layout | None = None
    activation: Choice = None
    heatmap: HeatmapOptions | None = DEFAULT_HEATMAP


@dataclass(frozen=True)
class Adopted:
    """The changes to a network that its owner must know of.

    `activation` was added to the scores; it was `assumed` if neither the graph nor the options named one.
    `several_labels` names the golden images for which several classes have a high score by themselves.
    `no_heatmap` says why there is no heatmap, and `one_image` why the network takes one image at a time;
    both are empty if that is not so. `other_class_names` are those in the file, if it has other ones.
    `heatmap_notices` say what its owner must know about the layer that the heatmaps explain.
    """

    activation: Activation
    assumed: bool
    several_labels: tuple[str, ...] = ()
    no_heatmap: str = ""
    one_image: str = ""
    other_class_names: tuple[str, ...] = ()
    heatmap_notices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Opened:
    """A network whose output and input are found.

    `ordered` has the nodes of the given file in order; `batch` is the number of images that it declares, None
    if it is free; `source` is a copy in standard form, of the nodes behind the scores, with the sizes of its
    input.
    """

    ordered: onnx.ModelProto
    network: Network
    image: ImageInput
    batch: int | None
    source: onnx.ModelProto


def adopt(
    model: onnx.ModelProto,
    card: ModelCard,
    preprocessing: Preprocessing,
    golden: Mapping[str, bytes],
    target: Path,
    options: Options = Options(),
) -> Adopted:
    """Write the classifier `model` to the file `target`, with everything a server needs inside.

    The written graph takes uint8 pixels and returns `probabilities`: this adds nodes for `preprocessing` and
    for a missing activation, and the heatmap. `golden` holds encoded images by name. The reference of the
    certificate is the given model in ONNX Runtime, on images that numpy preprocessed. `card` receives colour
    mode, explained layer and certificate, and its description the added activation.

    Raises InvalidInput if `preprocessing` or `options` do not fit the network. Raises ModelError, and writes
    nothing, if the model is not a classifier of the card's input and classes, or if the written graph would
    return other probabilities than the given model.
    """
    with unreadable_networks():
        opened = open_network(model, (card.input.height, card.input.width), options)
        ordered, network, image, batch = opened.ordered, opened.network, opened.image, opened.batch
        preprocessing.check(image.channels, image.element)
        own_names = own_class_names(ordered, network.output)
        _check_order(card.class_names, own_names)
        card.input.color_mode = image.color_mode
        validate_card(card)
        source = opened.source
        if batch is not None and batch > 1:
            source = _freed(source, card, image, preprocessing, network, batch)
        ending, plan = _plan(source, card, image, preprocessing, network, options.activation)
        scored_graph, scored = _scored(network, ordered, source, ending)
        reference = Reference(scored, plan)
        others = other_roundings(scored_graph, scored, plan)
        noise = rounding_noise(card, golden, reference.probabilities, others)
        graph, one_image = _for_batches(source, card, plan, tolerance_for(noise))
        _describe(card, ending.activation, one_image)
        heatmap = Explained(graph)
        if options.heatmap is not None:
            heatmap = explained(graph, card, source, options.heatmap)
        name = f"onnxruntime {onnxruntime.__version__}"
        certify(card, golden, reference.probabilities, reference_name=name, noise=noise)
        write_proven(heatmap.graph, card, target)
        several: tuple[str, ...] = ()
        if ending.assumed:
            several = images_of_several_labels(card, reference.logits)
        renamed = tuple(own_names) if own_names != list(card.class_names) else ()
        return Adopted(
            ending.activation,
            ending.assumed,
            several,
            heatmap.no_heatmap,
            one_image,
            renamed,
            heatmap.notices,
        )


def open_network(model: onnx.ModelProto, size: tuple[int, int], options: Options) -> Opened:
    """Find the class scores and the image of a network that takes images of `size`, (height, width).

    Raises ModelError if the model is not a classifier of such images.
    """
    reject_model_with_heatmap(model)
    reject_processor_forms(model)
    ordered = with_free_sizes(in_order(regular(model)))
    batch = declared_batch(ordered)
    network = Network(ordered, find_output(ordered, options.scores), batch)
    image = find_input(ordered, size, options.layout, network.takes)
    return Opened(ordered, network, image, batch, _own_copy(ordered, image, network))


def _check_order(given: Sequence[str], own: Sequence[str]) -> None:
    """Raise InvalidInput if the class names in the file are the given ones in another order."""
    if sorted(given) == sorted(own) and list(given) != list(own):
        index = next(index for index, pair in enumerate(zip(given, own, strict=True)) if pair[0] != pair[1])
        raise InvalidInput(
            f"the class names must be in the order of the network's outputs: in the file class {index} is "
            f"{own[index]!r}, not {given[index]!r}",
            field="classes",
        )


def _own_copy(model: onnx.ModelProto, image: ImageInput, network: Network) -> onnx.ModelProto:
    """A valid copy in standard form, in an opset that heatmaps support, of the nodes behind the scores.

    Its weights are not among its inputs, and the input has its sizes.
    """
    pruned = onnx.ModelProto()
    pruned.CopyFrom(model)
    keep_needed(pruned.graph, network.output)
    del pruned.graph.output[:]
    pruned.graph.output.append(network.declared(image.element, image.shape))
    with_sizes(pruned, image)
    check_valid(pruned)
    copy = onnx.ModelProto()
    copy.CopyFrom(standard_form(in_newer_opset(pruned)))
    weights = {tensor.name for tensor in copy.graph.initializer}
    fed = [value for value in copy.graph.input if value.name not in weights]
    del copy.graph.input[:]
    copy.graph.input.extend(fed)
    return simplified(copy)


def _freed(
    source: onnx.ModelProto,
    card: ModelCard,
    image: ImageInput,
    preprocessing: Preprocessing,
    network: Network,
    batch: int,
) -> onnx.ModelProto:
    """A copy of a network for `batch` images that takes one image, too.

    Raises ModelError if the copy does not return for one image what the network returns for it.
    """
    copy = with_free_batch(source, batch)
    noise = _fed(golden_tensor(SEEDS[0], card.input), preprocessing, image)
    try:
        found, expected = Network(copy, network.output).run(noise), network.run(noise)
    except ModelError as error:
        raise takes_several(batch) from error
    if found.shape != expected.shape or not np.allclose(found, expected, rtol=1e-3, atol=1e-4):
        raise takes_several(batch)
    return copy


def _plan(
    source: onnx.ModelProto,
    card: ModelCard,
    image: ImageInput,
    preprocessing: Preprocessing,
    network: Network,
    choice: Choice,
) -> tuple[Ending, Plan]:
    def run_on_noise(seed: int) -> NDArray[np.float32]:
        return network.run(_fed(golden_tensor(seed, card.input), preprocessing, image))

    outputs = np.concatenate([run_on_noise(seed) for seed in SEEDS])
    # Of one image, so that a network for one image shows its sizes too.
    view = GraphView(_of_one_image(source))
    ending = missing_activation(view, network.output, outputs, choice)
    columns, classes = outputs.shape[1], len(card.class_names)
    # A network of two classes may have a single output.
    if classes != max(columns, 2):
        raise ModelError(f"the network has {max(columns, 2)} classes, but there are {classes} class names")
    rank = view.rank(ending.tensor)
    return ending, Plan(image, preprocessing, ending.tensor, ending.activation, columns, rank)


def _of_one_image(source: onnx.ModelProto) -> onnx.ModelProto:
    one = onnx.ModelProto()
    one.CopyFrom(source)
    one.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    return one


def _describe(card: ModelCard, activation: Activation, one_image: str) -> None:
    """Write the added activation, and a limit to one image, into the description of the card."""
    told = [card.description]
    if activation:
        told.append(f"`spyglass adopt` added the {activation.lower()} of its scores.")
    if one_image:
        told.append("The network takes one image at a time.")
    card.description = " ".join(told).strip()


def _fed(pixels: NDArray[np.uint8], preprocessing: Preprocessing, image: ImageInput) -> NDArray[Any]:
    return preprocess(pixels, preprocessing, channels_first=image.channels_first, element=image.element)


def _for_batches(
    source: onnx.ModelProto, card: ModelCard, plan: Plan, tolerance: float
) -> tuple[onnx.ModelProto, str]:
    """The completed graph for any number of images, and "".

    If the network takes one image only, the graph declares a batch of 1, and the text says why.
    """
    graph = completed(source, card, plan)
    if not batch_problem(graph, card, tolerance):
        return graph, ""
    freed = completed(with_free_batch(source), card, plan)
    if not (problem := batch_problem(freed, card, tolerance)):
        return freed, ""
    return for_one_image(graph), problem


def _scored(
    network: Network, given: onnx.ModelProto, source: onnx.ModelProto, ending: Ending
) -> tuple[onnx.ModelProto, Network]:
    """The network whose output holds the scores that the added activation takes, and its graph.

    Rounded probabilities do not show their logits, so this reads those, from the given file if it names them.
    """
    if not ending.rounded:
        return given, network
    named = any(ending.tensor in node.output for node in given.graph.node)
    graph = given if named else source
    return graph, Network(graph, ending.tensor, network.batch if named else None)
