"""MNIST and Fashion-MNIST: 70,000 grey images each of 28×28 pixels, white on black, in ten classes."""

from __future__ import annotations

import hashlib
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spyglass.v1.model_pb2 import InputSpec
from spyglass_contract.errors import NotFound
from spyglass_training.datasets.assembly import Origin, assemble
from spyglass_training.datasets.dataset import Dataset
from spyglass_training.datasets.example import Example
from spyglass_training.datasets.formats.arrays import array_images, keras_cache
from spyglass_training.datasets.formats.idx import find_idx, read_idx
from spyglass_training.datasets.parts import TEST, TRAIN
from spyglass_training.datasets.reading.damaged_files import reading
from spyglass_training.datasets.reading.options import DEFAULT_OPTIONS, ReadingOptions
from spyglass_training.file_digest import file_sha256

_SIDE = 28
_ARRAYS = ("x_train", "y_train", "x_test", "y_test")
_IDX_FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)


@dataclass(frozen=True)
class Digits:
    """A data set in the form of MNIST."""

    name: str
    licence: str
    class_names: tuple[str, ...]
    # Name in Keras's cache.
    keras_name: str
    where_from: str


MNIST = Digits(
    name="MNIST",
    licence="CC BY-SA 3.0",
    class_names=tuple("0123456789"),
    keras_name="mnist.npz",
    where_from=(
        "MNIST (Y. LeCun, C. Cortes, C. Burges; CC BY-SA 3.0) is read from one file, mnist.npz, with uint8 "
        "arrays x_train, y_train, x_test and y_test, which Keras publishes at "
        "https://storage.googleapis.com/tensorflow/tf-keras-datasets/mnist.npz, or from a folder with the "
        "four original IDX files (train-images-idx3-ubyte, …). Download it and pass its path with --data; "
        "`--data mnist` reads it from the cache of keras.datasets"
    ),
)

FASHION = Digits(
    name="Fashion-MNIST",
    licence="MIT",
    class_names=(
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    ),
    keras_name="fashion-mnist",
    where_from=(
        "Fashion-MNIST (H. Xiao, K. Rasul, R. Vollgraf, Zalando SE; MIT) is read from a folder with its four "
        "IDX files (train-images-idx3-ubyte.gz, …), which are at "
        "https://github.com/zalandoresearch/fashion-mnist and in the Debian package dataset-fashion-mnist. "
        "Download them and pass their folder with --data; `--data fashion-mnist` reads them from the cache "
        "of keras.datasets"
    ),
)


def load(path: Path, spec: InputSpec, options: ReadingOptions = DEFAULT_OPTIONS) -> Dataset:
    """Read MNIST from `mnist.npz` or a folder of IDX files; convert every image to the input of `spec`.

    Raises NotFound if the path does not exist, and InvalidInput if the files do not hold MNIST's arrays.
    """
    return _load(MNIST, path, spec, options)


def load_fashion(path: Path, spec: InputSpec, options: ReadingOptions = DEFAULT_OPTIONS) -> Dataset:
    """Read Fashion-MNIST as `load` reads MNIST."""
    return _load(FASHION, path, spec, options)


def home(digits: Digits) -> Path:
    """Return the path in the cache of `keras.datasets`, whether or not it exists."""
    return keras_cache(digits.keras_name)


def recognises(path: Path) -> bool:
    """Return whether `path` is a file of numpy arrays. A folder of IDX files may be either data set."""
    return path.suffix == ".npz"


def recognises_fashion(path: Path) -> bool:
    """Return whether `path` is a folder of IDX files with "fashion" in its name."""
    return "fashion" in path.name.lower() and has_idx(path)


def has_idx(path: Path) -> bool:
    """Return whether `path` is a folder of IDX files, whose names are the same in both data sets."""
    return path.is_dir() and any(path.glob(f"{_IDX_FILES[0]}*"))


def _load(digits: Digits, path: Path, spec: InputSpec, options: ReadingOptions) -> Dataset:
    if not path.exists():
        raise NotFound(f"{path} does not exist. {digits.where_from}.", reason="DATA_NOT_FOUND", field="data")
    with reading(path, digits.name, digits.where_from):
        arrays, sha256 = _read_idx(path) if path.is_dir() else _read_npz(path)
        parts = {
            part: _images(pixels, labels, digits, sha256 + part)
            for part, (pixels, labels) in {TRAIN: arrays[:2], TEST: arrays[2:]}.items()
        }
    origin = Origin(path, digits.name, digits.licence, digits.where_from, sha256)
    return assemble(origin, digits.class_names, parts, spec, options)


def _images(pixels: NDArray[Any], labels: NDArray[Any], digits: Digits, stamp: str) -> list[Example]:
    """Raise ValueError if the images have another size, because the card will name this data set."""
    if pixels.ndim != 3 or pixels.shape[1:] != (_SIDE, _SIDE):
        raise ValueError(f"images must be [count, {_SIDE}, {_SIDE}], not {list(pixels.shape)}")
    return array_images(pixels, labels, len(digits.class_names), stamp)


def _read_npz(path: Path) -> tuple[list[NDArray[np.uint8]], str]:
    # numpy would take another file for a pickle, and suggest a way to open it.
    if not zipfile.is_zipfile(path):
        raise ValueError("it is not an archive of numpy arrays")
    with np.load(path, allow_pickle=False) as arrays:
        return [arrays[name] for name in _ARRAYS], file_sha256(path)


def _read_idx(folder: Path) -> tuple[list[NDArray[np.uint8]], str]:
    files = [find_idx(folder, stem) for stem in _IDX_FILES]
    digests = "".join(file_sha256(file) for file in files)
    return [read_idx(file) for file in files], hashlib.sha256(digests.encode()).hexdigest()
