"""A model file in int8 beside the original one."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from numpy.typing import NDArray

from spyglass.v1.model_pb2 import ModelCard, ReducedPrecision
from spyglass_contract.errors import InvalidInput, ModelError
from spyglass_contract.files import whole_file
from spyglass_contract.images.input_spec import channels
from spyglass_contract.model import held_out as held_out_file
from spyglass_contract.model.card import card_from_metadata, read_card, write_card
from spyglass_contract.model.certificate import Run, kept
from spyglass_contract.model.comparison import Comparison
from spyglass_contract.model.held_out import HeldOut, write_held_out
from spyglass_contract.model.precisions import INT8, INT8_FILE, USUAL, Tolerance, shortfall
from spyglass_contract.onnx_runtime import onnxruntime
from spyglass_export.heatmap import Notify
from spyglass_export.proving.certify import certify
from spyglass_export.proving.golden import golden_pixels
from spyglass_export.proving.prove import prove
from spyglass_export.quantising.choosing import Candidate, Choice
from spyglass_export.quantising.classes_only import classes_only, fused
from spyglass_export.quantising.recipes import RECIPES
from spyglass_export.session import open_session, runner, takes_one_image

# Held-out images that show the rounding noise of the quantised network.
_NOISE_IMAGES = 32


@dataclass(frozen=True)
class CalibrationData:
    """Images for the scales, uint8 [count, height, width, channels], and held-out ones to compare on."""

    calibration: NDArray[np.uint8]
    held_out: HeldOut


def quantise(
    file: Path,
    data: CalibrationData,
    *,
    tolerance: Tolerance = USUAL,
    seven_bits: bool = False,
    keep_images: bool = True,
    notify: Notify = lambda _: None,
) -> ModelCard:
    """Write `model.int8.onnx` beside the model file `file`, and return its card.

    The recipe is the one that keeps most classes of the held-out images; `seven_bits` gives weights of 7 bits
    in place of 8. `keep_images` also writes some of these images to `held_out.npz`, for the server. `notify`
    gets one line for each recipe.

    Raises ModelError, and writes nothing, if the file is no model, the network cannot be quantised, or every
    recipe loses more than `tolerance`. Raises InvalidInput if the images do not fit the model.
    """
    model, card = _open(file)
    _check_images(data, card)
    plain = classes_only(model)
    session = open_session(plain.SerializeToString())
    original = runner(session, card)
    if takes_one_image(session, card):
        raise ModelError("int8 needs a network that takes batches of images, and this one takes one image")
    choice = Choice(card, fused(plain), original, data.calibration, data.held_out, tolerance, notify)
    best = choice.best([recipe.in_seven_bits() for recipe in RECIPES] if seven_bits else RECIPES)
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    reduced = _reduced_card(card, best, data, tolerance, sha256)
    written = data.held_out.bounded() if keep_images else data.held_out.first(0)
    _check_server_part(reduced, original, best, written, tolerance)
    _certify(reduced, best.graph, data.held_out.pixels[:_NOISE_IMAGES])
    _write(best.graph, reduced, file.with_name(INT8_FILE))
    images = file.with_name(held_out_file.FILE_NAME)
    if keep_images:
        write_held_out(images, written, sha256)
    else:
        # Images of an earlier file would not fit this one.
        images.unlink(missing_ok=True)
    return reduced


def read_model_card(file: Path) -> ModelCard:
    """Return the card in a model file. Raises ModelError, and CardError if it has none."""
    return _open(file)[1]


def _open(file: Path) -> tuple[onnx.ModelProto, ModelCard]:
    if not file.is_file():
        raise ModelError(f"there is no model file {file}; name a folder NAME/VERSION with model.onnx")
    try:
        model = onnx.load(file)
    except (OSError, DecodeError) as error:
        raise ModelError(f"{file} is not an ONNX file: {error}") from error
    card = card_from_metadata({entry.key: entry.value for entry in model.metadata_props})
    if card.HasField("reduced_precision"):
        raise ModelError(f"{file} already holds a network in {card.reduced_precision.precision}")
    return model, card


def _check_images(data: CalibrationData, card: ModelCard) -> None:
    shape = (card.input.height, card.input.width, channels(card.input))
    for name, images in (("calibration", data.calibration), ("held-out", data.held_out.pixels)):
        if not len(images):
            raise InvalidInput(f"there are no {name} images", field="calibration")
        if images.dtype != np.uint8 or images.shape[1:] != shape:
            raise InvalidInput(
                f"the {name} images must be uint8 {['images', *shape]}, not {images.dtype} "
                f"{list(images.shape)}",
                field="calibration",
            )


def _reduced_card(
    card: ModelCard, best: Candidate, data: CalibrationData, tolerance: Tolerance, sha256: str
) -> ModelCard:
    """Return the card of the quantised network, without its certificate. It has no heatmap."""
    reduced = ModelCard()
    reduced.CopyFrom(card)
    for field in ("explained_layer", "heatmap_method", "explained_score"):
        reduced.ClearField(field)
    found = best.found
    reduced.reduced_precision.CopyFrom(
        ReducedPrecision(
            precision=INT8,
            recipe=best.recipe.name,
            calibration_images=len(data.calibration),
            held_out_images=found.images,
            agreement=found.agreement,
            metric=found.metric,
            original_metric=found.original_metric,
            reduced_metric=found.reduced_metric,
            least_agreement=tolerance.agreement,
            most_metric_loss=tolerance.metric_loss,
            source_sha256=sha256,
            kept_nodes=len(best.recipe.kept),
        )
    )
    return reduced


def _check_server_part(
    card: ModelCard, original: Run, best: Candidate, written: HeldOut, tolerance: Tolerance
) -> None:
    """Raise ModelError if a server would refuse the network by the golden images and the written images."""
    run = runner(open_session(best.graph.SerializeToString()), card)
    found = Comparison(len(card.class_names))
    for golden in card.certificate.images:
        pixels = golden_pixels(card.input, golden.name, golden.encoded)
        found.add(original(pixels).argmax(axis=-1), run(pixels))
    for index in range(len(written)):
        pixels = written.pixels[index : index + 1]
        labels = None if written.labels is None else written.labels[index : index + 1]
        found.add(original(pixels).argmax(axis=-1), run(pixels), labels)
    if problem := shortfall(found, tolerance):
        raise ModelError(
            f"int8 is refused: of the golden and held-out images that a server compares, {problem}",
            reason="PRECISION_REFUSED",
        )


def _certify(card: ModelCard, graph: onnx.ModelProto, images: NDArray[np.uint8]) -> None:
    """Replace the certificate: golden inputs of the original, expected outputs of the quantised network.

    The noise is the largest difference between integer kernels and the same graph in float32, which rounds
    some numbers to the neighbouring integer, as another processor does.
    """
    encoded = {golden.name: golden.encoded for golden in card.certificate.images}
    serialised = graph.SerializeToString()
    run = runner(open_session(serialised), card)
    plain = runner(open_session(serialised, optimised=False), card)
    noise = max(
        float(np.abs(kept(run(image[np.newaxis])) - kept(plain(image[np.newaxis]))).max()) for image in images
    )
    name = f"{INT8} in onnxruntime {onnxruntime.__version__}"
    certify(card, encoded, run, reference_name=name, noise=noise)


def _write(graph: onnx.ModelProto, card: ModelCard, target: Path) -> None:
    write_card(graph, card)
    with whole_file(target) as temporary:
        temporary.write_bytes(graph.SerializeToString())
        session = open_session(temporary)
        prove(session, read_card(session))
