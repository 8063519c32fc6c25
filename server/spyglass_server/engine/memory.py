"""The memory that this process may use, and how it gives memory back."""

from __future__ import annotations

import contextlib
import ctypes
import re
from collections.abc import Callable
from pathlib import Path

from spyglass_server.engine.control_groups import read, values_v1, values_v2

# `M_TRIM_THRESHOLD` and `M_MMAP_THRESHOLD` of glibc's malloc.h.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_KEPT_BYTES = 64 * 1024 * 1024
_LARGE_BLOCK_BYTES = 16 * 1024 * 1024
# If nothing says how much memory there is.
_FALLBACK_BYTES = 1 << 30


def usable_memory(root: Path = Path("/")) -> int:
    """Return the bytes of memory of the machine or of the control group's limit, the lesser.

    `root` is the folder that holds `proc` and `sys`.
    """
    limits = [
        *values_v2(root, "memory.max"),
        *values_v1(root, "memory", "memory.limit_in_bytes"),
    ]
    found = [int(limit) for limit in limits if limit.isdecimal()]
    if total := re.search(r"^MemTotal:\s*(\d+) kB", read(root / "proc/meminfo"), re.MULTILINE):
        found.append(int(total[1]) * 1024)
    return min(found, default=_FALLBACK_BYTES)


def memory_returner() -> Callable[[], object]:
    """Return a function that gives free memory of the C library back to the system, if it can.

    After large requests the library keeps the memory of each of its arenas.
    """
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError):
        return lambda: None
    return lambda: trim(0)


def return_large_blocks() -> None:
    """Let the C library give the memory of large blocks back as soon as they are free.

    By default it stops to do so for blocks up to the size of those that were freed before: after some
    large images they lie in its arenas, among small blocks that keep their neighbours from being given back.
    """
    with contextlib.suppress(AttributeError, OSError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_MMAP_THRESHOLD, _LARGE_BLOCK_BYTES)
        # Else each arena gives back every little that becomes free, and asks for it again.
        mallopt(_TRIM_THRESHOLD, _KEPT_BYTES)


class _MallocState(ctypes.Structure):
    """`struct mallinfo2` of glibc."""

    _fields_ = [
        (name, ctypes.c_size_t)
        for name in (
            "arena",
            "ordblks",
            "smblks",
            "hblks",
            "hblkhd",
            "usmblks",
            "fsmblks",
            "uordblks",
            "fordblks",
            "keepcost",
        )
    ]


def allocated_bytes() -> Callable[[], int]:
    """Return a function that returns the bytes that the C library has given out; 0 if it does not say."""
    try:
        state = ctypes.CDLL(None).mallinfo2
    except (AttributeError, OSError):
        return lambda: 0
    state.restype = _MallocState

    def allocated() -> int:
        found = state()
        return int(found.uordblks + found.hblkhd)

    return allocated
