"""Pinned memory: pages that a GPU reads and writes directly, without a copy by the driver."""

from __future__ import annotations

import ctypes
import logging
import weakref
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

_log = logging.getLogger(__name__)

# The runtime of CUDA, in the versions for which ONNX Runtime is built.
_LIBRARIES = ("libcudart.so.13", "libcudart.so.12")
# The flag cudaHostRegisterPortable: the memory is pinned for every GPU.
_PORTABLE = 1


def pinned_array(shape: Sequence[int], dtype: type[np.generic], cuda: Any) -> NDArray[Any]:
    """Return an array of zeros that `cuda` has pinned, and unpins when the array is gone.

    `cuda` is `cuda_runtime()`. If it is None or refuses, the array is an ordinary one: it works, slower.
    """
    array = np.zeros(shape, dtype)
    if cuda is None or not array.nbytes:
        return array
    address = ctypes.c_void_p(array.ctypes.data)
    status = cuda.cudaHostRegister(address, ctypes.c_size_t(array.nbytes), ctypes.c_uint(_PORTABLE))
    if status:
        _log.warning("CUDA cannot pin %d bytes (error %d): copies are slower", array.nbytes, status)
    else:
        weakref.finalize(array, cuda.cudaHostUnregister, address)
    return array


@cache
def cuda_runtime() -> Any:
    """Return the runtime library of CUDA, which ONNX Runtime has loaded; None if there is none."""
    for name in _LIBRARIES:
        try:
            return ctypes.CDLL(name)
        except OSError:
            continue
    _log.warning("%s cannot be loaded: copies to the GPU are slower", " or ".join(_LIBRARIES))
    return None
