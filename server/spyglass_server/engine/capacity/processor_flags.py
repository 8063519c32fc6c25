"""The instruction sets of this machine's processors."""

from __future__ import annotations

from functools import cache
from pathlib import Path


@cache
def processor_flags(root: Path = Path("/")) -> frozenset[str]:
    """Return the flags in `proc/cpuinfo` below `root`, such as avx512_bf16; empty if it cannot be read.

    x86 calls them "flags", ARM "Features". The first processor stands for all.
    """
    try:
        lines = (root / "proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return frozenset()
    for line in lines:
        key, _, value = line.partition(":")
        if key.strip() in ("flags", "Features"):
            return frozenset(value.split())
    return frozenset()
