"""Arrays out of a pickle, without running what is in it.

A pickle can call anything it names. The one here may name what numpy makes arrays of numbers from, in the
words of Python 2 as of Python 3, and has dictionaries, lists, strings and numbers beside them.
"""

from __future__ import annotations

import io
import pickle
from typing import Any

import numpy as np
from numpy.typing import NDArray

# What stands for the class in a pickle. It is not the class: that could be called, for an array of any size.
_NDARRAY = object()


def read_array_pickle(data: bytes) -> Any:
    """The object in a pickle; strings of Python 2 come as bytes.

    Raises ValueError where it names anything but arrays, or is broken.
    """
    try:
        return _ArrayUnpickler(io.BytesIO(data), encoding="bytes").load()
    # Broken pickles raise whatever they make the machine stumble over.
    except Exception as error:
        raise ValueError(f"a pickle cannot be read: {error}") from error


class _ArrayUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if module in ("numpy.core.multiarray", "numpy._core.multiarray") and name == "_reconstruct":
            return _reconstruct
        if (module, name) == ("numpy", "ndarray"):
            return _NDARRAY
        if (module, name) == ("numpy", "dtype"):
            return _dtype
        raise ValueError(f"it names {module}.{name}, which is no array; it was not opened")


def _reconstruct(kind: Any, *_: Any) -> NDArray[Any]:
    """An empty array, which the next instruction of the pickle fills."""
    if kind is not _NDARRAY:
        raise ValueError("it makes something else than an array")
    return np.ndarray((0,), np.uint8)


def _dtype(code: bytes | str, *_: Any) -> np.dtype[Any]:
    dtype = np.dtype(code.decode("ascii") if isinstance(code, bytes) else code)
    if dtype.kind not in "biuf":
        raise ValueError(f"it has an array of {dtype}, which are no numbers")
    return dtype
