"""CIFAR-10: 60,000 colour images of 32×32 pixels in ten classes.

Six pickles, five of them to train on, each a dictionary with `data`, uint8 [10000, 3072] by channel, row and
column, and `labels`. They are read from their folder, from the archive, or from Keras's cache.
"""

from __future__ import annotations

import hashlib
import tarfile
from pathlib import Path

import numpy as np

from spyglass.v1.model_pb2 import InputSpec
from spyglass_contract.errors import NotFound
from spyglass_training.datasets.array_pickle import read_array_pickle
from spyglass_training.datasets.arrays import array_images, keras_cache
from spyglass_training.datasets.assembly import TEST, TRAIN, Origin, assemble
from spyglass_training.datasets.dataset import Dataset
from spyglass_training.datasets.example import Example
from spyglass_training.datasets.reader_boundary import reading
from spyglass_training.datasets.reading import DEFAULT_OPTIONS, ReadingOptions

NAME = "CIFAR-10"
LICENCE = "not stated by its authors"
CLASS_NAMES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")

_FOLDER = "cifar-10-batches-py"
_TRAIN_FILES = tuple(f"data_batch_{number}" for number in range(1, 6))
_TEST_FILES = ("test_batch",)
_WHERE_FROM = (
    "CIFAR-10 (A. Krizhevsky, V. Nair, G. Hinton; no licence stated, cite the technical report of 2009) is "
    "read from cifar-10-python.tar.gz, or from its unpacked folder: "
    "https://www.cs.toronto.edu/~kriz/cifar.html. Download it and name it with --data, from wherever you put "
    "it; `--data cifar10` is what keras.datasets has put into its cache"
)


def load(path: Path, spec: InputSpec, options: ReadingOptions = DEFAULT_OPTIONS) -> Dataset:
    """Reads the folder or the archive, every image brought to the input of `spec`.

    Raises NotFound where there is none, and InvalidInput where it does not hold CIFAR-10, or where a pickle
    in it names anything else than arrays.
    """
    if not path.exists():
        raise NotFound(f"there is nothing at {path}. {_WHERE_FROM}.", reason="DATA_NOT_FOUND", field="data")
    with reading(path, NAME, _WHERE_FROM):
        files = _in_folder(path) if path.is_dir() else _in_archive(path)
        parts = {
            part: [image for name in names for image in _images(files[name], name)]
            for part, names in ((TRAIN, _TRAIN_FILES), (TEST, _TEST_FILES))
        }
    return assemble(Origin(path, NAME, LICENCE, _WHERE_FROM), CLASS_NAMES, parts, spec, options)


def home() -> Path:
    """Where `keras.datasets` puts it, whether or not it is there."""
    return keras_cache(f"{_FOLDER}-target")


def recognises(path: Path) -> bool:
    """Whether it is the folder, or an archive that is named like the original."""
    if path.is_dir():
        return any((folder / _TEST_FILES[0]).is_file() for folder in (path, path / _FOLDER))
    return path.name.startswith("cifar-10-python.tar")


def _in_folder(path: Path) -> dict[str, bytes]:
    folder = path / _FOLDER if (path / _FOLDER).is_dir() else path
    return {name: (folder / name).read_bytes() for name in (*_TRAIN_FILES, *_TEST_FILES)}


def _in_archive(path: Path) -> dict[str, bytes]:
    wanted = {f"{_FOLDER}/{name}": name for name in (*_TRAIN_FILES, *_TEST_FILES)}
    files = {}
    with tarfile.open(path) as archive:
        for member in archive:
            content = archive.extractfile(member) if member.name in wanted and member.isfile() else None
            if content is not None:
                files[wanted[member.name]] = content.read()
    return files


def _images(data: bytes, name: str) -> list[Example]:
    batch = read_array_pickle(data)
    pixels, labels = batch[b"data"], np.array(batch[b"labels"])
    # By channel, row and column, and the channel comes last here.
    pixels = pixels.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    return array_images(pixels, labels, len(CLASS_NAMES), name + hashlib.sha256(data).hexdigest())
