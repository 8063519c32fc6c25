"""Files that are there whole or not at all: whoever writes them may be killed at any moment."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A place beside `path` to write to; what is there takes the place of `path` in one step at the end."""
    # The end of the name stays: Keras tells the format by it.
    temporary = path.with_name(f".{path.name}")
    yield temporary
    os.replace(temporary, path)
