"""The baseline in a card: what a model predicts on images that are typical of its use."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import onnx
from google.protobuf.message import DecodeError

from spyglass.v1.model_pb2 import ModelCard
from spyglass_contract.errors import ImageError, InvalidInput, LimitExceeded, ModelError
from spyglass_contract.files import whole_file
from spyglass_contract.images.folders import files_below
from spyglass_contract.images.header import sniff
from spyglass_contract.images.pixels import Prepared, prepare
from spyglass_contract.model import held_out
from spyglass_contract.model.card import card_from_metadata, write_card
from spyglass_contract.model.precisions import INT8_FILE
from spyglass_contract.model.statistics import Statistics
from spyglass_export.heatmap import Notify
from spyglass_export.session import open_session, runner, takes_one_image

LEAST_IMAGES = 50
"""Fewer images say too little about a population."""

_BATCH = 32

_Image = tuple[Prepared, str]
"""A prepared image and Pillow's name of its format."""


def add_baseline(file: Path, folder: Path, notify: Notify = lambda _: None) -> Statistics:
    """Run the model in `file` on the images below `folder`, and write their statistics into its card.

    `notify` gets a line for each image that cannot be read. The files in a reduced precision belong to the
    file as it was, so they are removed. Raises ModelError if the file is no model, and InvalidInput if there
    are fewer images than `LEAST_IMAGES`.
    """
    try:
        model = onnx.load(file)
    except (OSError, DecodeError) as error:
        raise ModelError(f"{file} is not an ONNX file: {error}") from error
    card = card_from_metadata({entry.key: entry.value for entry in model.metadata_props})
    found = _statistics(file, card, _images(folder, card, notify))
    if found.images < LEAST_IMAGES:
        raise InvalidInput(
            f"{folder} has {found.images} images that can be read; a baseline needs at least {LEAST_IMAGES}",
            field="baseline",
        )
    card.baseline.CopyFrom(found.message())
    write_card(model, card)
    with whole_file(file) as temporary:
        temporary.write_bytes(model.SerializeToString())
        open_session(temporary)
    for stale in (INT8_FILE, held_out.FILE_NAME):
        if file.with_name(stale).exists():
            file.with_name(stale).unlink()
            notify(f"{stale} belonged to the file without a baseline, and was removed")
    return found


def _statistics(file: Path, card: ModelCard, images: Iterable[_Image]) -> Statistics:
    session = open_session(file)
    run, batch = runner(session, card), 1 if takes_one_image(session, card) else _BATCH
    found, waiting = Statistics(), list[_Image]()

    def count() -> None:
        pixels = np.stack([prepared.pixels for prepared, _ in waiting])
        for (prepared, name), output in zip(waiting, run(pixels), strict=True):
            found.add(output, prepared.pixels, (prepared.width, prepared.height), name)
        waiting.clear()

    for each in images:
        waiting.append(each)
        if len(waiting) == batch:
            count()
    if waiting:
        count()
    return found


def _images(folder: Path, card: ModelCard, notify: Notify) -> Iterator[_Image]:
    if not folder.is_dir():
        raise InvalidInput(f"{folder} is not a folder; expected one with images", field="baseline")
    for entry in files_below(folder):
        if not entry.is_image:
            continue
        try:
            data = entry.path.read_bytes()
            yield prepare(data, card.input), sniff(data)
        except (ImageError, LimitExceeded) as error:
            notify(f"{entry.path}: {error.message}")
        except OSError as error:
            notify(f"{entry.path}: {error.strerror}")
