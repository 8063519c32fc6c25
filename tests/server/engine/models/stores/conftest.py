"""Repositories at URLs: in fsspec's memory, in a folder, and on a web server."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import fsspec
import pytest

from spyglass_server.engine.models.stores.options import Patience, RemoteOptions
from spyglass_server.engine.models.stores.remote import RemoteStore
from spyglass_server.engine.models.stores.url import StoreUrl
from web_folder import WebFolder, web_folder

# Two attempts without a pause to speak of.
PATIENCE = Patience(seconds=5, attempts=2, pause=0.001)

OpenStore = Callable[..., RemoteStore]


@pytest.fixture
def web(tmp_path: Path) -> Iterator[WebFolder]:
    """A web server for an empty folder."""
    root = tmp_path / "web"
    root.mkdir()
    with web_folder(root) as folder:
        yield folder


@pytest.fixture
def memory() -> Iterator[tuple[str, Callable[[str, bytes], object]]]:
    """The URL of an empty folder in memory, and what writes a file into it."""
    name = secrets.token_hex(4)
    files = fsspec.filesystem("memory")
    yield f"memory://{name}", lambda path, data: files.pipe_file(f"/{name}/{path}", data)
    if files.exists(f"/{name}"):
        files.rm(f"/{name}", recursive=True)


@pytest.fixture
def open_remote(tmp_path: Path) -> OpenStore:
    """Open the store of a URL, with the cache of this test and little patience."""

    def open_it(url: str, *, patience: Patience = PATIENCE, **options: int) -> RemoteStore:
        return RemoteStore(
            StoreUrl.parse(url), RemoteOptions(tmp_path / "cache", patience=patience, **options)
        )

    return open_it
