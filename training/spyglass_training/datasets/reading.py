"""How a data set is to be read: what holds for every kind of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class ReadingOptions:
    """What the caller decides about the reading of a data set."""

    # An image that cannot be read is named and left out; otherwise all of them are named and reading fails.
    skip_corrupt: bool = False
    # Where decoded images are kept from run to run; None: in memory only.
    cache: Path | None = None
    # Decoded images and masks beyond this many bytes stay in files under `cache`, mapped into memory.
    memory_bytes: int = 4 * 1024**3
    # Of the cut into training and test part, where the data set leaves it open.
    seed: int = 0


DEFAULT_OPTIONS = ReadingOptions()
