"""Run folders made from published weights instead of a training run."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from spyglass_contract.errors import NotFound
from spyglass_contract.model.run_folder import DataRecord, RunFolder, RunRecord
from spyglass_training.file_digest import file_sha256
from spyglass_training.golden import write_golden
from spyglass_training.models import Architecture, find_architecture
from spyglass_training.run.versions import library_versions, now
from spyglass_training.weights import efficientnet_lite0 as lite0_weights
from spyglass_training.weights import imagenet
from spyglass_training.weights.torch_checkpoint import read_checkpoint


@dataclass(frozen=True)
class Published:
    """A published checkpoint of an architecture, and the functions that find and apply it."""

    architecture: str
    data: str
    licence: str
    class_names: Callable[[], tuple[str, ...]]
    find_checkpoint: Callable[[], Path]
    set_weights: Callable[[keras.Model, Mapping[str, NDArray[Any]]], None]


PUBLISHED = {
    published.architecture: published
    for published in (
        Published(
            architecture="efficientnet-lite0",
            data="ImageNet (ILSVRC 2012)",
            licence="Apache-2.0",
            class_names=imagenet.class_names,
            find_checkpoint=lite0_weights.find_checkpoint,
            set_weights=lite0_weights.set_weights,
        ),
    )
}


def find_published(name: str) -> Published:
    """Return the published weights of an architecture. Raises NotFound with the known names."""
    if name not in PUBLISHED:
        known = ", ".join(PUBLISHED)
        raise NotFound(f"there are no published weights of {name!r}, only of: {known}", reason="NO_WEIGHTS")
    return PUBLISHED[name]


def assemble(published: Published, images: Sequence[NDArray[np.uint8]], folder: RunFolder) -> RunRecord:
    """Fill a run folder with the network in its published weights, and golden images made of `images`.

    `images` are as `write_golden` takes them. Raises NotFound if the weights are not installed, ModelError if
    they do not fit, and InvalidInput if the folder is not empty.
    """
    started = time.monotonic()
    folder.check_free()
    checkpoint = published.find_checkpoint()
    architecture = find_architecture(published.architecture)
    model = _network(published, architecture, checkpoint)
    folder.create()
    write_golden(images, architecture.input, folder.golden)
    model.save(folder.model)
    record = RunRecord(
        architecture=architecture.name,
        description=f"{architecture.summary} Trained on {published.data} by its authors.",
        parameters=model.count_params(),
        input=architecture.input,
        class_names=published.class_names(),
        data=DataRecord(published.data, published.licence, file_sha256(checkpoint)),
        options={},
        library_versions=library_versions(),
        epochs=(),
        metrics={},
        created=now(),
        seconds=round(time.monotonic() - started, 1),
    )
    folder.write_record(record)
    return record


def _network(published: Published, architecture: Architecture, checkpoint: Path) -> keras.Model:
    model = architecture.build(architecture.input, len(published.class_names()))
    published.set_weights(model, read_checkpoint(checkpoint))
    return model
