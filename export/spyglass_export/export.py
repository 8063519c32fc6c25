"""Export of a training run to a model file that a server can verify."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import keras
import numpy as np
from numpy.typing import NDArray

from spyglass.v1.model_pb2 import ModelCard
from spyglass_contract.errors import ModelError
from spyglass_contract.model.outputs import class_probabilities
from spyglass_contract.model.run_folder import RunFolder
from spyglass_export.converting.convert import convert
from spyglass_export.converting.early_transpose import transpose_early
from spyglass_export.converting.full_precision import in_float32
from spyglass_export.converting.tidy import tidy
from spyglass_export.draft import draft_card
from spyglass_export.heatmap import DEFAULT_HEATMAP, HeatmapOptions, Notify, with_heatmap
from spyglass_export.proving.certify import certify
from spyglass_export.proving.noise import perturbations, perturbed, rounding_noise
from spyglass_export.transposed import rewrite_transposed
from spyglass_export.write import file_to_write, write_proven


def export_run(
    run: RunFolder,
    target: Path,
    *,
    heatmap: HeatmapOptions | None = DEFAULT_HEATMAP,
    golden: Mapping[str, bytes] | None = None,
    force: bool = False,
    notify: Notify = lambda _: None,
) -> ModelCard:
    """Export a run into the folder `target`, NAME/VERSION, and return the card inside the file.

    `heatmap` sets the heatmap of a classifier's file; None leaves it out. `golden` holds encoded images by
    name, to certify with instead of the run's own golden images. `notify` gets notices about the layer that
    the heatmap explains.

    Raises ModelError, and writes nothing, if the run is incomplete, if the folder names no version or
    already holds a file (unless `force`), if the network cannot be converted, or if the file would return
    other outputs than the network.
    """
    card = draft_card(run, target)
    file = file_to_write(target, force=force)
    export_model(_load(run.model), card, golden or run.read_golden(), file, heatmap, notify)
    return card


def export_model(
    model: keras.Model,
    card: ModelCard,
    golden: Mapping[str, bytes],
    target: Path,
    heatmap: HeatmapOptions | None = DEFAULT_HEATMAP,
    notify: Notify = lambda _: None,
) -> None:
    """Convert `model`, certify the graph with the outputs of `model`, and write it to `target`.

    `golden` holds encoded images by name. Every change to the graph belongs between its conversion and its
    certificate, so that the certificate covers the change. `card` receives the certificate. Raises
    ModelError.
    """
    graph = convert(model, card)
    tidy(graph, card)
    transpose_early(graph)
    if heatmap:
        graph = with_heatmap(graph, card, heatmap, notify)
    # After the heatmap, because the heatmap explains a layer of the original network.
    rewrite_transposed(graph)
    reference = _Reference(model)
    others = [_Reference(model, random) for random in perturbations()]
    noise = rounding_noise(card, golden, reference, others)
    certify(card, golden, reference, reference_name=f"keras {keras.__version__}", noise=noise)
    write_proven(graph, card, target)


def _load(path: Path) -> keras.Model:
    try:
        return in_float32(keras.models.load_model(path, compile=False))
    except (ValueError, OSError, KeyError, TypeError) as error:
        raise ModelError(f"{path} is not a Keras model: {error}") from error


class _Reference:
    """The network; `random` changes each input by one unit in the last place."""

    def __init__(self, model: keras.Model, random: np.random.Generator | None = None) -> None:
        self._model, self._random = model, random

    def __call__(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        image = pixels if self._random is None else perturbed(pixels.astype(np.float32), self._random)
        return class_probabilities(np.asarray(self._model(image, training=False)))
