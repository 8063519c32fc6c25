"""The baseline in a card: what a model predicts on images that are typical of its use."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from numpy.typing import NDArray

from spyglass.v1.model_pb2 import ModelCard
from spyglass_contract.errors import ImageError, InvalidInput, LimitExceeded, ModelError
from spyglass_contract.files import whole_file
from spyglass_contract.images.folders import files_below
from spyglass_contract.images.header import sniff
from spyglass_contract.images.pixels import prepare
from spyglass_contract.model import held_out
from spyglass_contract.model.card import card_from_metadata, write_card
from spyglass_contract.model.precisions import INT8_FILE
from spyglass_contract.model.statistics import Statistics
from spyglass_export.heatmap import Notify
from spyglass_export.session import open_session, runner, takes_one_image

LEAST_IMAGES = 50
"""Fewer images say too little about a population."""

_BATCH = 32


@dataclass(frozen=True)
class TypicalImage:
    """An image as the network takes it, uint8 [height, width, channels], and what is known of its file."""

    pixels: NDArray[np.uint8]
    # Width and height of the upright image, in pixels; None: unknown.
    size: tuple[int, int] | None = None
    # Pillow's name of its format; empty: unknown.
    image_format: str = ""


TypicalImages = Callable[[ModelCard], Iterable[TypicalImage]]
"""Returns the images for the model of a card."""


def add_baseline(file: Path, images: TypicalImages, notify: Notify = lambda _: None) -> Statistics:
    """Run the model in `file` on images that are typical of its use, and write statistics into its card.

    `notify` gets a line for each file that is removed: the files in a reduced precision belong to the file as
    it was. Raises ModelError if the file is no model, InvalidInput if there are fewer images than
    `LEAST_IMAGES`, and the errors of `images`.
    """
    try:
        model = onnx.load(file)
    except (OSError, DecodeError) as error:
        raise ModelError(f"{file} is not an ONNX file: {error}") from error
    card = card_from_metadata({entry.key: entry.value for entry in model.metadata_props})
    found = _statistics(file, card, images(card))
    if found.images < LEAST_IMAGES:
        raise InvalidInput(
            f"there are {found.images} images that can be read; a baseline needs at least {LEAST_IMAGES}",
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


def images_below(folder: Path, card: ModelCard, notify: Notify = lambda _: None) -> Iterator[TypicalImage]:
    """Yield the images below a folder; `notify` gets a line for each that cannot be read.

    Raises InvalidInput if it is no folder.
    """
    if not folder.is_dir():
        raise InvalidInput(f"{folder} is not a folder; expected one with images", field="baseline")
    for entry in files_below(folder):
        if not entry.is_image:
            continue
        try:
            data = entry.path.read_bytes()
            prepared = prepare(data, card.input)
        except (ImageError, LimitExceeded) as error:
            notify(f"{entry.path}: {error.message}")
        except OSError as error:
            notify(f"{entry.path}: {error.strerror}")
        else:
            yield TypicalImage(prepared.pixels, (prepared.width, prepared.height), sniff(data))


def _statistics(file: Path, card: ModelCard, images: Iterable[TypicalImage]) -> Statistics:
    session = open_session(file)
    run, batch = runner(session, card), 1 if takes_one_image(session, card) else _BATCH
    found, left = Statistics(), iter(images)
    while waiting := list(islice(left, batch)):
        outputs = run(np.stack([image.pixels for image in waiting]))
        for image, output in zip(waiting, outputs, strict=True):
            found.add(output, image.pixels, image.size, image.image_format)
    return found
