"""The store of a place, such as a folder."""

from __future__ import annotations

from pathlib import Path

from spyglass_server.engine.models.stores.folder import FolderStore
from spyglass_server.engine.models.stores.store import Store


def open_store(place: str | Path) -> Store:
    """Return the store of a place."""
    return FolderStore(Path(place))
