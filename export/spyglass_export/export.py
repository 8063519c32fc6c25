"""A training run to a model file that a server can trust."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import keras
import numpy as np
from numpy.typing import NDArray

from spyglass.v1.model_pb2 import ModelCard
from spyglass_contract.errors import ModelError
from spyglass_contract.model.certificate import Run
from spyglass_contract.model.outputs import class_probabilities
from spyglass_contract.model.run_folder import RunFolder
from spyglass_export.certify import certify
from spyglass_export.convert import convert
from spyglass_export.draft import draft_card
from spyglass_export.explain import PLAIN, Explained, with_heatmap
from spyglass_export.full_precision import in_float32
from spyglass_export.tidy import tidy
from spyglass_export.transposed import rewrite_transposed
from spyglass_export.write import file_to_write, write_proven


def export_run(
    run: RunFolder,
    target: Path,
    *,
    explained: Explained | None = PLAIN,
    golden: Mapping[str, bytes] | None = None,
    force: bool = False,
) -> ModelCard:
    """Exports a run into the folder `target`, NAME/VERSION, and returns the card that the file carries.

    A classifier's file also has heatmaps, as `explained` says; none where that is None. `golden` are encoded
    images by name, to certify with instead of the run's own.

    Raises ModelError, with nothing written, where the run is not whole, the folder names no version or holds
    a file already (unless `force`), the network does not convert, or the file does not answer as it did.
    """
    card = draft_card(run, target)
    file = file_to_write(target, force=force)
    export_model(_load(run.model), card, golden or run.read_golden(), file, explained)
    return card


def export_model(
    model: keras.Model,
    card: ModelCard,
    golden: Mapping[str, bytes],
    target: Path,
    explained: Explained | None = PLAIN,
) -> None:
    """Converts `model`, certifies the graph by the model's own answers, and writes it to `target`.

    `golden` are encoded images by name. Whatever changes the graph belongs between its conversion and its
    certificate, which then vouches for the change. `card` receives the certificate. Raises ModelError.
    """
    graph = convert(model, card)
    tidy(graph, card)
    if explained:
        graph = with_heatmap(graph, card, explained)
    # After the heatmap, which shall explain the layers that the network was made of.
    rewrite_transposed(graph)
    certify(card, golden, _answers(model), reference_name=f"keras {keras.__version__}")
    write_proven(graph, card, target)


def _load(path: Path) -> keras.Model:
    try:
        return in_float32(keras.models.load_model(path, compile=False))
    except (ValueError, OSError, KeyError, TypeError) as error:
        raise ModelError(f"{path} is not a Keras model: {error}") from error


def _answers(model: keras.Model) -> Run:
    def run(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        return class_probabilities(np.asarray(model(pixels, training=False)))

    return run
