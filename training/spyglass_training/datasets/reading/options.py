"""The options of reading, for every kind of data set."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class ReadingOptions:
    """The options of reading a data set."""

    # Log and skip images that cannot be read; otherwise reading fails and names them.
    skip_corrupt: bool = False
    # Folder that keeps decoded images for other runs; None: memory only.
    cache: Path | None = None
    # Decoded images and masks of more than this many bytes stay in files under `cache`, mapped into memory.
    memory_bytes: int = 4 * 1024**3
    # Seed of the cut into training and test part, if the data set has no parts.
    seed: int = 0


DEFAULT_OPTIONS = ReadingOptions()
