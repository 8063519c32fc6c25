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
from spyglass_training.datasets.arrays import array_images, keras_cache
from spyglass_training.datasets.assembly import TEST, TRAIN, Origin, assemble
from spyglass_training.datasets.dataset import Dataset
from spyglass_training.datasets.example import Example
from spyglass_training.datasets.idx import find_idx, read_idx
from spyglass_training.datasets.reader_boundary import reading
from spyglass_training.datasets.reading import DEFAULT_OPTIONS, ReadingOptions
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
    """One of the data sets of this form."""

    name: str
    licence: str
    class_names: tuple[str, ...]
    # In Keras's cache.
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
        "four original IDX files (train-images-idx3-ubyte, …). Download it and name it with --data, from "
        "wherever you put it; `--data mnist` is what keras.datasets has put into its cache"
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
        "Download them and name their folder with --data; `--data fashion-mnist` is what keras.datasets has "
        "put into its cache"
    ),
)


def load(path: Path, spec: InputSpec, options: ReadingOptions = DEFAULT_OPTIONS) -> Dataset:
    """MNIST from `mnist.npz` or a folder of IDX files, every image brought to the input of `spec`.

    Raises NotFound where there is none, and InvalidInput where the files do not hold MNIST's arrays.
    """
    return _load(MNIST, path, spec, options)


def load_fashion(path: Path, spec: InputSpec, options: ReadingOptions = DEFAULT_OPTIONS) -> Dataset:
    """The same for Fashion-MNIST."""
    return _load(FASHION, path, spec, options)


def home(digits: Digits) -> Path:
    """Where `keras.datasets` puts it, whether or not it is there."""
    return keras_cache(digits.keras_name)


def recognises(path: Path) -> bool:
    """Whether it is a file of numpy arrays. A folder of IDX files may be either."""
    return path.suffix == ".npz"


def recognises_fashion(path: Path) -> bool:
    """Whether it is a folder of IDX files that is named for it."""
    return "fashion" in path.name.lower() and has_idx(path)


def has_idx(path: Path) -> bool:
    """Whether it is a folder of IDX files: those of the two data sets have the same names."""
    return path.is_dir() and any(path.glob(f"{_IDX_FILES[0]}*"))


def _load(digits: Digits, path: Path, spec: InputSpec, options: ReadingOptions) -> Dataset:
    if not path.exists():
        raise NotFound(
            f"there is nothing at {path}. {digits.where_from}.", reason="DATA_NOT_FOUND", field="data"
        )
    with reading(path, digits.name, digits.where_from):
        arrays, sha256 = _read_idx(path) if path.is_dir() else _read_npz(path)
        parts = {
            part: _images(pixels, labels, digits, sha256 + part)
            for part, (pixels, labels) in {TRAIN: arrays[:2], TEST: arrays[2:]}.items()
        }
    origin = Origin(path, digits.name, digits.licence, digits.where_from, sha256)
    return assemble(origin, digits.class_names, parts, spec, options)


def _images(pixels: NDArray[Any], labels: NDArray[Any], digits: Digits, stamp: str) -> list[Example]:
    """Raises ValueError where they are other images: a model's card will say that they are these."""
    if pixels.ndim != 3 or pixels.shape[1:] != (_SIDE, _SIDE):
        raise ValueError(f"its images are {list(pixels.shape)}, not [count, {_SIDE}, {_SIDE}]")
    return array_images(pixels, labels, len(digits.class_names), stamp)


def _read_npz(path: Path) -> tuple[list[NDArray[np.uint8]], str]:
    # numpy would take it for a pickle, and say how to open that.
    if not zipfile.is_zipfile(path):
        raise ValueError("it is no archive of numpy arrays")
    with np.load(path, allow_pickle=False) as arrays:
        return [arrays[name] for name in _ARRAYS], file_sha256(path)


def _read_idx(folder: Path) -> tuple[list[NDArray[np.uint8]], str]:
    files = [find_idx(folder, stem) for stem in _IDX_FILES]
    digests = "".join(file_sha256(file) for file in files)
    return [read_idx(file) for file in files], hashlib.sha256(digests.encode()).hexdigest()
