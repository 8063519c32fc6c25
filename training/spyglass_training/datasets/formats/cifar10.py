"""CIFAR-10: 60,000 colour images of 32×32 pixels in ten classes.

Six pickles, five of them for training, each a dictionary with `data`, uint8 [10000, 3072] by channel, row and
column, and `labels`. They are read from their folder, from the archive, or from Keras's cache.
"""

from __future__ import annotations

import hashlib
import tarfile
from pathlib import Path

import numpy as np

from spyglass.v1.model_pb2 import InputSpec
from spyglass_contract.errors import NotFound
from spyglass_training.array_pickle import read_array_pickle
from spyglass_training.datasets.assembly import Origin, assemble
from spyglass_training.datasets.dataset import Dataset
from spyglass_training.datasets.example import Example
from spyglass_training.datasets.formats.arrays import array_images, keras_cache
from spyglass_training.datasets.parts import TEST, TRAIN
from spyglass_training.datasets.reading.damaged_files import reading
from spyglass_training.datasets.reading.options import DEFAULT_OPTIONS, ReadingOptions

NAME = "CIFAR-10"
LICENCE = "not stated by its authors"
CLASS_NAMES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")

_FOLDER = "cifar-10-batches-py"
_TRAIN_FILES = tuple(f"data_batch_{number}" for number in range(1, 6))
_TEST_FILES = ("test_batch",)
_WHERE_FROM = (
    "CIFAR-10 (A. Krizhevsky, V. Nair, G. Hinton; no licence stated, cite the technical report of 2009) is "
    "read from cifar-10-python.tar.gz or its unpacked folder: "
    "https://www.cs.toronto.edu/~kriz/cifar.html. Download it and pass its path with --data; "
    "`--data cifar10` reads it from the cache of keras.datasets"
)


def load(path: Path, spec: InputSpec, options: ReadingOptions = DEFAULT_OPTIONS) -> Dataset:
    """Read the folder or the archive, and convert every image to the input of `spec`.

    Raises NotFound if the path does not exist, and InvalidInput if it is not CIFAR-10 or a pickle in it names
    anything but arrays.
    """
    if not path.exists():
        raise NotFound(f"{path} does not exist. {_WHERE_FROM}.", reason="DATA_NOT_FOUND", field="data")
    with reading(path, NAME, _WHERE_FROM):
        files = _in_folder(path) if path.is_dir() else _in_archive(path)
        parts = {
            part: [image for name in names for image in _images(files[name], name)]
            for part, names in ((TRAIN, _TRAIN_FILES), (TEST, _TEST_FILES))
        }
    return assemble(Origin(path, NAME, LICENCE, _WHERE_FROM), CLASS_NAMES, parts, spec, options)


def home() -> Path:
    """Return the path in the cache of `keras.datasets`, whether or not it exists."""
    return keras_cache(f"{_FOLDER}-target")


def recognises(path: Path) -> bool:
    """Return whether `path` is the folder, or an archive with the original's name."""
    if path.is_dir():
        return any((folder / _TEST_FILES[0]).is_file() for folder in (path, path / _FOLDER))
    return path.name.startswith("cifar-10-python.tar")


def _in_folder(path: Path) -> dict[str, bytes]:
    folder = path / _FOLDER if (path / _FOLDER).is_dir() else path
    return {name: (folder / name).read_bytes() for name in (*_TRAIN_FILES, *_TEST_FILES)}


def _in_archive(path: Path) -> dict[str, bytes]:
    members = {f"{_FOLDER}/{name}": name for name in (*_TRAIN_FILES, *_TEST_FILES)}
    files = {}
    with tarfile.open(path) as archive:
        for member in archive:
            content = archive.extractfile(member) if member.name in members and member.isfile() else None
            if content is not None:
                files[members[member.name]] = content.read()
    return files


def _images(data: bytes, name: str) -> list[Example]:
    batch = read_array_pickle(data)
    pixels, labels = np.asarray(batch[b"data"]), np.array(batch[b"labels"])
    # From channel, row, column to row, column, channel.
    pixels = pixels.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    return array_images(pixels, labels, len(CLASS_NAMES), name + hashlib.sha256(data).hexdigest())
