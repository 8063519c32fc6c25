"""A checkpoint of torch is read without torch, and no code of it runs."""

from __future__ import annotations

import io
import os
import pickle
import struct
import sys
import types
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spyglass_contract.errors import ModelError
from spyglass_training.weights.torch_checkpoint import read_checkpoint

MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
VALUES = np.arange(6, dtype="<f4")


class Storage:
    """Stands in a pickle for six floats that follow it."""

    def __init__(self, stated: int = len(VALUES)) -> None:
        self.stated = stated


class Tensor:
    """Pickles as a call of torch's own function, without torch."""

    def __init__(
        self, storage: Storage, shape: tuple[int, ...], strides: tuple[int, ...], offset: int = 0
    ) -> None:
        self.arguments: tuple[Any, ...] = (storage, offset, shape, strides, False, OrderedDict())

    def __reduce__(self) -> tuple[Any, ...]:
        return sys.modules["torch._utils"]._rebuild_tensor_v2, self.arguments


class Call:
    """Pickles as a call of os.mkdir."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


class Pickler(pickle.Pickler):
    def persistent_id(self, item: Any) -> Any:
        if isinstance(item, Storage):
            return ("storage", sys.modules["torch"].FloatStorage, "0", "cpu", item.stated, None)
        return None


@pytest.fixture
def save(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Return a function that writes a state dictionary as torch did before 1.6."""
    torch, torch_utils = types.ModuleType("torch"), types.ModuleType("torch._utils")
    torch.FloatStorage = type("FloatStorage", (), {"__module__": "torch"})  # type: ignore[attr-defined]

    def _rebuild_tensor_v2() -> None:
        """Only the name of this function is pickled."""

    _rebuild_tensor_v2.__module__ = "torch._utils"
    _rebuild_tensor_v2.__qualname__ = "_rebuild_tensor_v2"
    torch_utils._rebuild_tensor_v2 = _rebuild_tensor_v2  # type: ignore[attr-defined]

    def write(state: Any, data: bytes = VALUES.tobytes()) -> Path:
        buffer = io.BytesIO()
        with monkeypatch.context() as patched:
            patched.setitem(sys.modules, "torch", torch)
            patched.setitem(sys.modules, "torch._utils", torch_utils)
            for part in (MAGIC, PROTOCOL, {"little_endian": True}, state, ["0"]):
                Pickler(buffer, protocol=2).dump(part)
        path = tmp_path / "weights.pth"
        path.write_bytes(buffer.getvalue() + struct.pack("<q", len(VALUES)) + data)
        return path

    return write


def test_tensors_are_views_of_their_storage_in_the_order_of_their_strides(save: Callable[..., Path]) -> None:
    storage = Storage()
    state = OrderedDict(
        rows=Tensor(storage, (2, 3), (3, 1)),
        transposed=Tensor(storage, (3, 2), (1, 3)),
        tail=Tensor(storage, (2,), (1,), offset=4),
    )
    tensors = read_checkpoint(save(state))
    np.testing.assert_array_equal(tensors["rows"], VALUES.reshape(2, 3))
    np.testing.assert_array_equal(tensors["transposed"], VALUES.reshape(2, 3).T)
    np.testing.assert_array_equal(tensors["tail"], [4, 5])


def test_a_pickle_that_calls_another_function_is_rejected_before_the_call(
    save: Callable[..., Path], tmp_path: Path
) -> None:
    target = tmp_path / "made-by-the-pickle"
    with pytest.raises(ModelError, match=r"mkdir.*not opened"):
        read_checkpoint(save(OrderedDict(weight=Call(target))))
    assert not target.exists()


@pytest.mark.parametrize(
    "tensor",
    [
        Tensor(Storage(), (7,), (1,)),
        Tensor(Storage(), (2,), (1,), offset=5),
        Tensor(Storage(), (2,), (-1,)),
        Tensor(Storage(), (2, 3), (1000, 1)),
        Tensor(Storage(stated=10**12), (2,), (1,)),
        Tensor(Storage(stated=-1), (2,), (1,)),
    ],
    ids=[
        "too long",
        "beyond the end",
        "before the start",
        "wide strides",
        "a huge storage",
        "a negative one",
    ],
)
def test_a_tensor_that_reaches_outside_its_storage_or_the_file_is_rejected(
    save: Callable[..., Path], tensor: Tensor
) -> None:
    with pytest.raises(ModelError, match=r"not a readable checkpoint|more than the file can hold"):
        read_checkpoint(save(OrderedDict(weight=tensor)))


def test_a_checkpoint_that_is_cut_off_is_rejected(save: Callable[..., Path]) -> None:
    path = save(OrderedDict(weight=Tensor(Storage(), (6,), (1,))))
    whole = path.read_bytes()
    for length in (0, 5, 20, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(ModelError):
            read_checkpoint(path)


def test_a_file_of_another_kind_is_rejected(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    path.write_bytes(pickle.dumps("a pickle, but no checkpoint"))
    with pytest.raises(ModelError, match="checkpoint"):
        read_checkpoint(path)
