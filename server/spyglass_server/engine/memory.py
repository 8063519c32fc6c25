"""The memory that this process may use, and how it gives memory back."""

from __future__ import annotations

import ctypes
import re
from collections.abc import Callable
from pathlib import Path

from spyglass_server.engine.control_groups import read, values_v1, values_v2

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
