"""MNIST: 70,000 handwritten digits, 28×28 pixels, white on black."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spyglass.v1.model_pb2 import InputSpec
from spyglass_contract.errors import InvalidInput, NotFound
from spyglass_contract.pixels import prepare
from spyglass_contract.run_folder import DataRecord
from spyglass_training.datasets.dataset import Dataset, Split
from spyglass_training.run_record import file_sha256

NAME = "MNIST"
LICENCE = "CC BY-SA 3.0"
CLASS_NAMES = tuple("0123456789")

_WHERE_FROM = (
    "MNIST (Y. LeCun, C. Cortes, C. Burges; CC BY-SA 3.0) is read from one file, mnist.npz, with uint8 "
    "arrays x_train, y_train, x_test and y_test. Keras publishes it at "
    "https://storage.googleapis.com/tensorflow/tf-keras-datasets/mnist.npz; download it and name it with "
    "--data, from wherever you put it"
)


def load(path: Path, spec: InputSpec) -> Dataset:
    """Reads `mnist.npz` and brings every picture to the input that `spec` states.

    Raises NotFound where there is no such file, and InvalidInput where it does not hold MNIST's arrays.
    """
    if not path.is_file():
        raise NotFound(f"there is no file {path}. {_WHERE_FROM}.", reason="DATA_NOT_FOUND", field="data")
    try:
        with np.load(path, allow_pickle=False) as arrays:
            train = _split(arrays["x_train"], arrays["y_train"], spec)
            test = _split(arrays["x_test"], arrays["y_test"], spec)
    except (KeyError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise InvalidInput(f"{path} is not mnist.npz: {error}. {_WHERE_FROM}.", field="data") from error
    return Dataset(DataRecord(NAME, LICENCE, file_sha256(path)), CLASS_NAMES, train, test)


def _split(pictures: NDArray[np.uint8], labels: NDArray[np.uint8], spec: InputSpec) -> Split:
    if pictures.ndim != 3 or pictures.shape[:1] != labels.shape or not len(labels):
        raise ValueError(
            f"pictures {list(pictures.shape)} and labels {list(labels.shape)} do not fit together"
        )
    if labels.min() < 0 or labels.max() >= len(CLASS_NAMES):
        raise ValueError("a label is not a digit")
    pixels = np.stack([prepare(picture, spec).pixels for picture in pictures])
    return Split(pixels, labels.astype(np.int64))
