"""A reader for arrays in a pickle that runs no code of the file.

A pickle can call anything that it names. This reader allows the functions from which numpy builds arrays of
numbers, under their names of Python 2 and 3, beside dictionaries, lists, strings and numbers.
"""

from __future__ import annotations

import io
import pickle
from typing import Any

import numpy as np

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
            return _NumberType
        raise ValueError(f"it names {module}.{name}, which is not an array; the pickle was not opened")


class _NumberType:
    """Stands for `numpy.dtype`: a type of numbers, of which the pickle sets only the byte order.

    The pickle could give a real dtype flags that break numpy's memory.
    """

    def __init__(self, code: bytes | str, *_: Any) -> None:
        self.dtype = np.dtype(_text(code))
        if self.dtype.kind not in "biuf":
            raise ValueError(f"it has an array of {self.dtype}, not of numbers")

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.dtype = self.dtype.newbyteorder(_text(state[1]))


class _Array(np.ndarray[Any, Any]):
    """An array that accepts its content from a pickle."""

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        version, shape, number_type, is_column_major, data = state
        super().__setstate__((version, shape, number_type.dtype, is_column_major, data))


def _reconstruct(kind: Any, *_: Any) -> _Array:
    """Return an empty array, which the next instruction of the pickle fills."""
    if kind is not _NDARRAY:
        raise ValueError("it builds something other than an array")
    return _Array((0,), np.uint8)


def _text(value: bytes | str) -> Any:
    return value.decode("ascii") if isinstance(value, bytes) else value
