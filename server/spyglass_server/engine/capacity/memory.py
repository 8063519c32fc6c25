"""The memory that this process may use, and the return of free memory to the system."""

from __future__ import annotations

import contextlib
import ctypes
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from spyglass_server.engine.capacity.control_groups import folders_v1, folders_v2, read, values_v1, values_v2

# `M_TRIM_THRESHOLD` and `M_MMAP_THRESHOLD` of glibc's malloc.h.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_KEPT_BYTES = 64 * 1024 * 1024
_LARGE_BLOCK_BYTES = 8 * 1024 * 1024
# Used if neither the machine nor a control group reports a limit.
_FALLBACK_BYTES = 1 << 30


def usable_memory(root: Path = Path("/")) -> int:
    """Return the memory of the machine or the limit of the control group in bytes, whichever is smaller.

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


def free_memory(root: Path = Path("/")) -> int | None:
    """Return the bytes that this process could still take; None: neither machine nor control group says.

    Files that the system keeps in memory to read them again do not count as taken. See `usable_memory` for
    `root`.
    """
    found = [
        *_left(folders_v2(root), "memory.max", "memory.current", "inactive_file"),
        *_left(
            folders_v1(root, "memory"),
            "memory.limit_in_bytes",
            "memory.usage_in_bytes",
            "total_inactive_file",
        ),
    ]
    if free := re.search(r"^MemAvailable:\s*(\d+) kB", read(root / "proc/meminfo"), re.MULTILINE):
        found.append(int(free[1]) * 1024)
    return min(found, default=None)


def _left(folders: Iterable[Path], limit: str, used: str, cached: str) -> Iterator[int]:
    """Yield what is left below the limit of each control group that has one."""
    for folder in folders:
        most, taken = read(folder / limit), read(folder / used)
        if most.isdecimal() and taken.isdecimal():
            match = re.search(rf"^{cached} (\d+)$", read(folder / "memory.stat"), re.MULTILINE)
            yield max(0, int(most) - int(taken) + (int(match[1]) if match else 0))


def memory_returner() -> Callable[[], object]:
    """Return a function that returns free memory of the C library to the system, if the library can.

    Without it the library keeps the memory of each of its arenas after large requests.
    """
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError):
        return lambda: None
    return lambda: trim(0)


def return_large_blocks() -> None:
    """Make the C library return the memory of a large block to the system as soon as the block is free.

    By default the library raises its threshold for this to the largest block that was freed. After some
    large images it places large blocks in its arenas, and small blocks beside them prevent their return.
    """
    with contextlib.suppress(AttributeError, OSError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_MMAP_THRESHOLD, _LARGE_BLOCK_BYTES)
        # Without this, each arena returns every small free part and allocates it again.
        mallopt(_TRIM_THRESHOLD, _KEPT_BYTES)


@contextlib.contextmanager
def returning_memory() -> Iterator[None]:
    """Make the C library return to the system at once what the block frees, however small the parts are.

    `memory_returner` does not: it leaves the end of the arenas of all threads but the main one.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        yield
        return
    mallopt(_TRIM_THRESHOLD, 0)
    try:
        yield
    finally:
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
    """Return a function that returns the allocated bytes of the C library, or 0 if they are unknown."""
    try:
        state = ctypes.CDLL(None).mallinfo2
    except (AttributeError, OSError):
        return lambda: 0
    state.restype = _MallocState

    def allocated() -> int:
        found = state()
        return int(found.uordblks + found.hblkhd)

    return allocated
