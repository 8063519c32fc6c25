"""A reader for checkpoints of torch that needs no torch and runs no code of the file.

The layout is that of `torch.save` before torch 1.6 (`torch/serialization.py`, `_legacy_save`): five pickles,
namely a magic number, a protocol version, facts about the machine, the object itself and the keys of its
storages; then for each key the number of elements, 8 bytes little-endian, and the elements.

A pickle can call anything that it names. This reader allows tensors, two kinds of storage and OrderedDict.
"""

from __future__ import annotations

import pickle
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from spyglass_contract.errors import ModelError

_MAGIC = 0x1950A86A20F9469CFC6C
_PROTOCOL = 1001
_STORAGES = {"FloatStorage": np.dtype("<f4"), "LongStorage": np.dtype("<i8")}

# Allocates a storage, given the type, the key and the number of its elements.
Allocate = Callable[[np.dtype[Any], str, int], NDArray[Any]]


def read_checkpoint(path: Path) -> Mapping[str, NDArray[Any]]:
    """Return the tensors of a state dictionary by name, float32 or int64, with torch's order of axes.

    Raises ModelError if the file is not such a checkpoint, or names anything but tensors.
    """
    with path.open("rb") as file:
        reader = _Reader(file, path.stat().st_size)
        try:
            return reader.read()
        except ModelError:
            raise
        # A damaged pickle can make the reader raise any exception.
        except Exception as error:
            raise ModelError(f"{path.name} is not a readable checkpoint: {error}") from error


class _Reader:
    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file = file
        self._size = size
        self._storages: dict[str, NDArray[Any]] = {}

    def read(self) -> Mapping[str, NDArray[Any]]:
        if self._load() != _MAGIC or self._load() != _PROTOCOL:
            raise ModelError("expected a checkpoint that torch before 1.6 wrote")
        if not self._load()["little_endian"]:
            raise ModelError("expected a checkpoint of a little-endian machine")
        tensors = self._load()
        for key in self._load():
            self._fill(self._storages[key])
        return tensors

    def _load(self) -> Any:
        return _TensorUnpickler(self._file, self._allocate).load()

    def _allocate(self, kind: np.dtype[Any], key: str, count: int) -> NDArray[Any]:
        if not 0 <= count * kind.itemsize <= self._size:
            raise ModelError(f"storage {key} states {count} elements, more than the file can hold")
        return self._storages.setdefault(key, np.zeros(count, kind))

    def _fill(self, storage: NDArray[Any]) -> None:
        count = int.from_bytes(self._file.read(8), "little")
        data = self._file.read(storage.nbytes)
        if count != len(storage) or len(data) != storage.nbytes:
            raise ModelError("the checkpoint is cut off")
        storage[:] = np.frombuffer(data, storage.dtype)


class _TensorUnpickler(pickle.Unpickler):
    def __init__(self, file: BinaryIO, allocate: Allocate) -> None:
        super().__init__(file)
        self._allocate = allocate

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _rebuild
        if module == "torch" and name in _STORAGES:
            return _STORAGES[name]
        raise ModelError(
            f"the checkpoint names {module}.{name}, which is not a tensor; the file was not opened"
        )

    def persistent_load(self, saved: Any) -> NDArray[Any]:
        _, kind, key, _, count, _ = saved
        return self._allocate(kind, key, count)


def _rebuild(
    storage: NDArray[Any], offset: int, shape: tuple[int, ...], strides: tuple[int, ...], *_: Any
) -> NDArray[Any]:
    """Return a tensor's view of its storage. numpy rejects one that reaches past the storage's end."""
    size = storage.itemsize
    return np.ndarray(
        shape, storage.dtype, storage, offset * size, tuple(stride * size for stride in strides)
    )
