"""The store of a place: a folder, or a URL."""

from __future__ import annotations

from pathlib import Path

from spyglass_server.engine.models.stores.folder import FolderStore
from spyglass_server.engine.models.stores.options import RemoteOptions
from spyglass_server.engine.models.stores.store import Store
from spyglass_server.engine.models.stores.url import StoreUrl


def open_store(place: Path | StoreUrl, options: RemoteOptions) -> Store:
    """Return the store of a place; `options` are for a URL. Raises ModelError if there is no cache for it."""
    if isinstance(place, Path):
        return FolderStore(place)
    # A server with folders only does without it.
    from spyglass_server.engine.models.stores.remote import RemoteStore

    return RemoteStore(place, options)
