"""A reader for arrays in a pickle that runs no code of the file.

A pickle can call anything that it names. This reader allows the functions from which numpy builds arrays of
numbers, under their names of Python 2 and 3, beside dictionaries, lists, strings and numbers.
"""

from __future__ import annotations

import io
import pickle
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Stands for the class `numpy.ndarray` in a pickle. A pickle could call the class itself, for an array of any
# size.
_NDARRAY = object()


def read_array_pickle(data: bytes) -> Any:
    """Return the object in a pickle; strings of Python 2 become bytes.

    Raises ValueError if the pickle names anything but arrays, or is damaged.
    """
    try:
        return _ArrayUnpickler(io.BytesIO(data), encoding="bytes").load()
    # A damaged pickle can make the reader raise any exception.
    except Exception as error:
        raise ValueError(f"cannot read a pickle: {error}") from error


class _ArrayUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if module in ("numpy.core.multiarray", "numpy._core.multiarray") and name == "_reconstruct":
            return _reconstruct
        if (module, name) == ("numpy", "ndarray"):
            return _NDARRAY
        if (module, name) == ("numpy", "dtype"):
            return _dtype
        raise ValueError(f"it names {module}.{name}, which is not an array; the pickle was not opened")


def _reconstruct(kind: Any, *_: Any) -> NDArray[Any]:
    """Return an empty array, which the next instruction of the pickle fills."""
    if kind is not _NDARRAY:
        raise ValueError("it builds something other than an array")
    return np.ndarray((0,), np.uint8)


def _dtype(code: bytes | str, *_: Any) -> np.dtype[Any]:
    dtype = np.dtype(code.decode("ascii") if isinstance(code, bytes) else code)
    if dtype.kind not in "biuf":
        raise ValueError(f"it has an array of {dtype}, not of numbers")
    return dtype
