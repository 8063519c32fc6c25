"""Held-out images beside a model file, `held_out.npz`: a reduced precision must keep their classes.

The export writes the pixels as the network takes them, so a server can compare two networks without decoding.
"""

from __future__ import annotations

import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from spyglass.v1.model_pb2 import TASK_SEGMENT, ModelCard
from spyglass_contract.errors import ModelError
from spyglass_contract.files import whole_file
from spyglass_contract.images.input_spec import channels
from spyglass_contract.masks.placement import VOID
from spyglass_contract.model_files.model_file import CheckContent, open_regular

FILE_NAME = "held_out.npz"
MOST_IMAGES = 500
# Of the arrays in memory; the file is compressed.
MOST_BYTES = 32 * 1024 * 1024
# A file may be larger than its arrays by headers, and by data that does not compress.
_BESIDE = 64 * 1024

_PIXELS, _LABELS, _MODEL = "pixels", "labels", "model_sha256"


@dataclass(frozen=True)
class HeldOut:
    """Images that no scale was computed from, and that the network was not trained on if the data allows."""

    # uint8 [count, height, width, channels].
    pixels: NDArray[np.uint8]
    # int64 [count], one class an image; or uint8 [count, height, width], one class a pixel. None: unknown.
    labels: NDArray[Any] | None = None

    def __len__(self) -> int:
        return len(self.pixels)

    def first(self, count: int) -> HeldOut:
        """Return the first `count` images."""
        return HeldOut(self.pixels[:count], None if self.labels is None else self.labels[:count])

    def bounded(self) -> HeldOut:
        """Return as many of the first images as a file may hold."""
        one = self.pixels[:1].nbytes + (0 if self.labels is None else self.labels[:1].nbytes)
        return self.first(min(MOST_IMAGES, MOST_BYTES // max(one, 1)))


def write_held_out(path: Path, held_out: HeldOut, model_sha256: str) -> None:
    """Write the images to `path` in one step. `model_sha256` is of the model file that they belong to."""
    arrays: dict[str, Any] = {_PIXELS: held_out.pixels, _MODEL: np.array(model_sha256)}
    if held_out.labels is not None:
        arrays[_LABELS] = held_out.labels
    with whole_file(path) as temporary:
        np.savez_compressed(temporary, **arrays)


def read_held_out(
    path: Path, card: ModelCard, model_sha256: str, check_content: CheckContent | None = None
) -> HeldOut:
    """Read the images for the model of `card`, whose file has the hash `model_sha256`.

    `check_content` gets the file first. Raises ModelError if the file cannot be read, is larger than allowed,
    or does not fit the model, and the errors of `check_content`.
    """
    try:
        with open_regular(path) as file:
            if check_content:
                check_content(path, file)
            arrays = _arrays(file)
    # numpy and zipfile have no common base class for the errors of a broken file.
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise _invalid(path, f"it cannot be read: {error}") from error
    except (NotImplementedError, RuntimeError) as error:
        raise _invalid(path, f"it is packed in a way that is not supported: {error}") from error
    if (found := str(arrays[_MODEL])) != model_sha256:
        raise _invalid(path, f"it belongs to a model file with the SHA-256 {found[:64]}, not {model_sha256}")
    pixels, labels = arrays[_PIXELS], arrays.get(_LABELS)
    spec = card.input
    shape = (spec.height, spec.width, channels(spec))
    if pixels.dtype != np.uint8 or pixels.shape[1:] != shape or not len(pixels):
        expected = ["images", *shape]
        raise _invalid(path, f"its pixels must be uint8 {expected}, not {pixels.dtype} {list(pixels.shape)}")
    if labels is not None:
        _check_labels(path, labels, len(pixels), card)
    return HeldOut(pixels, labels)


def _arrays(file: BinaryIO) -> dict[str, NDArray[Any]]:
    with zipfile.ZipFile(file) as archive:
        size = sum(entry.file_size for entry in archive.infolist())
    if size > MOST_BYTES + _BESIDE:
        raise ValueError(f"its arrays have {size:,} bytes, more than {MOST_BYTES:,}")
    file.seek(0)
    with np.load(file, allow_pickle=False) as loaded:
        arrays = {name: loaded[name] for name in loaded.files}
    for name in (_PIXELS, _MODEL):
        if name not in arrays:
            raise KeyError(f"it has no array {name}")
    return arrays


def _check_labels(path: Path, labels: NDArray[Any], count: int, card: ModelCard) -> None:
    rank = 3 if card.task == TASK_SEGMENT else 1
    if labels.dtype.kind not in "iu" or labels.ndim != rank or len(labels) != count:
        raise _invalid(
            path,
            f"its labels must be {count} whole numbers or maps of them, of rank {rank}, not {labels.dtype} "
            f"{list(labels.shape)}",
        )
    classes = len(card.class_names)
    known = labels[labels != VOID] if rank == 3 else labels
    if known.size and not (known.min() >= 0 and known.max() < classes):
        raise _invalid(path, f"its labels must be below {classes}, the number of classes")


def _invalid(path: Path, problem: str) -> ModelError:
    return ModelError(
        f"{path.name} is not usable: {problem}; make it again with `spyglass quantise`, or delete it",
        reason="HELD_OUT_INVALID",
    )
