"""The folder in which Spyglass keeps what it can make or fetch again."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path | None:
    """Return the cache folder of Spyglass by the XDG Base Directory Specification; None: without a home."""
    named = os.environ.get("XDG_CACHE_HOME", "")
    # The specification says to ignore a path that is not absolute.
    if os.path.isabs(named):
        return Path(named) / "spyglass"
    try:
        return Path.home() / ".cache" / "spyglass"
    except RuntimeError:
        return None
