"""Pinned memory, with a stand-in for the runtime of CUDA."""

from __future__ import annotations

import ctypes
import gc
import logging

import numpy as np
import pytest

from spyglass_server.engine.models.providers.pinned import pinned_array


class Runtime:
    """The two functions of CUDA's runtime, which note the pinned memory."""

    def __init__(self, status: int = 0) -> None:
        self.status = status
        self.pinned: dict[int, int] = {}

    def cudaHostRegister(self, address: ctypes.c_void_p, size: ctypes.c_size_t, flags: ctypes.c_uint) -> int:
        assert address.value is not None
        if not self.status:
            self.pinned[address.value] = size.value
        return self.status

    def cudaHostUnregister(self, address: ctypes.c_void_p) -> int:
        assert address.value is not None
        del self.pinned[address.value]
        return 0


@pytest.mark.slow
def test_an_array_is_pinned_as_long_as_it_lives() -> None:
    cuda = Runtime()
    array = pinned_array((4, 8, 8, 3), np.uint8, cuda)

    assert cuda.pinned == {array.ctypes.data: 4 * 8 * 8 * 3}
    del array
    gc.collect()
    assert not cuda.pinned


def test_without_cuda_the_array_is_an_ordinary_one() -> None:
    array = pinned_array((2, 3), np.float32, None)

    assert (array.shape, array.dtype, array.sum()) == ((2, 3), np.float32, 0)


def test_memory_that_cannot_be_pinned_is_used_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    cuda = Runtime(status=2)
    with caplog.at_level(logging.WARNING):
        array = pinned_array((1000,), np.uint8, cuda)

    assert array.shape == (1000,)
    assert "cannot pin 1000 bytes (error 2)" in caplog.text
