"""How a store at a URL copies models to this machine."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from spyglass_contract.model_files.limits import MOST_BYTES

CACHE_BYTES = 20 * 1024**3


@dataclass(frozen=True)
class Patience:
    """How long to wait for a repository, and how often to ask it again."""

    # The longest wait for a connection, and for the next bytes, in seconds.
    seconds: float = 30.0
    attempts: int = 4
    # Before the second attempt, in seconds; it doubles with each further one.
    pause: float = 0.25
    max_pause: float = 4.0


PATIENCE = Patience()


@dataclass(frozen=True)
class RemoteOptions:
    """Where copies lie, and what they and their downloads may take."""

    # The folder of the cache; None: there is no folder for it.
    cache: Path | None
    cache_bytes: int = CACHE_BYTES
    # The largest file.
    max_file_bytes: int = MOST_BYTES
    patience: Patience = PATIENCE
