"""The versions that a repository at a URL has: by its index, or by its folders."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from threading import Lock

from spyglass_contract.images.folders import is_hidden
from spyglass_server.engine.models.stores.entry import Entry
from spyglass_server.engine.models.stores.failures import MissingError, StoreError
from spyglass_server.engine.models.stores.file_system import FileSystem
from spyglass_server.engine.models.stores.index import (
    INDEX_FILE,
    MAX_FILES,
    MAX_INDEX_BYTES,
    IndexedVersion,
    read_index,
)
from spyglass_server.engine.models.stores.names import MAX_DEPTH, is_file_path, is_name, is_version
from spyglass_server.engine.models.stores.store import MODEL_FILE, Stored

_log = logging.getLogger(__name__)

MAX_VERSIONS = 10_000


@dataclass(frozen=True)
class RemoteFile:
    """One file of a version."""

    # Below NAME/VERSION, with slashes.
    path: str
    # None: unknown.
    size: int | None
    # Lower-case hexadecimal; empty: there is no index.
    sha256: str
    # See `Entry.state`.
    state: str


@dataclass(frozen=True)
class RemoteVersion:
    """One version and all of its files."""

    name: str
    version: int
    files: tuple[RemoteFile, ...]

    @property
    def folder(self) -> str:
        """NAME/VERSION."""
        return f"{self.name}/{self.version}"

    @property
    def stored(self) -> Stored:
        """The version, with a stamp of its files."""
        files = [(file.path, file.size, file.sha256, file.state) for file in self.files]
        return Stored(self.name, self.version, hashlib.sha256(repr(files).encode()).hexdigest())


class Listing:
    """Lists the versions below a file system."""

    def __init__(self, files: FileSystem) -> None:
        self._files = files
        self._lock = Lock()
        self._ignored: set[str] = set()
        self.has_index = False
        """Whether the repository has an index, as far as is known."""

    def versions(self) -> list[RemoteVersion]:
        """Return every version of every model, by name and version. Raises StoreError."""
        data = self._files.read(INDEX_FILE, MAX_INDEX_BYTES)
        if data is None and self.has_index:
            # Without it, every version would count as changed, and nothing would vouch for the files.
            raise StoreError(
                f"{self._files.url} had the index {INDEX_FILE}, and has none any more; write it again with "
                "`spyglass models index FOLDER`, or restart the server",
                reason="STORE_INDEX_INVALID",
            )
        self.has_index = data is not None
        if data is not None:
            index = read_index(data, f"{self._files.url}/{INDEX_FILE}")
            found = [_of_index(entry) for entry in index.models]
        else:
            found = list(self._walk())
        return sorted(found, key=lambda version: (version.name, version.version))

    def files_of(self, stored: Stored) -> RemoteVersion | None:
        """Return a version as it is now; None: there is none."""
        wanted = (stored.name, stored.version)
        return next((found for found in self.versions() if (found.name, found.version) == wanted), None)

    def _walk(self) -> Iterator[RemoteVersion]:
        count = 0
        for model in self._entries(""):
            if not model.is_folder or is_hidden(model.name):
                continue
            if not is_name(model.name):
                self._ignore(model.name, "a name of a model has no spaces, colons and @")
                continue
            for version in self._entries(model.name):
                if not version.is_folder or is_hidden(version.name):
                    continue
                folder = f"{model.name}/{version.name}"
                if not is_version(version.name):
                    self._ignore(folder, "a version must be a whole number without leading zeros")
                    continue
                files = tuple(islice(self._below(folder, ""), MAX_FILES + 1))
                if len(files) > MAX_FILES:
                    raise _too_large(self._files, f"more than {MAX_FILES} files in {folder}")
                # What is being uploaded has no model file yet.
                if any(file.path == MODEL_FILE for file in files):
                    count += 1
                    yield RemoteVersion(model.name, int(version.name), files)
                if count > MAX_VERSIONS:
                    raise _too_large(self._files, f"more than {MAX_VERSIONS} versions")

    def _below(self, folder: str, below: str, depth: int = 1) -> Iterator[RemoteFile]:
        """Yield the files of a version in its sub-folder `below`, which is empty or ends with a slash."""
        for entry in self._entries(f"{folder}/{below}".rstrip("/")):
            path = f"{below}{entry.name}"
            if is_hidden(entry.name):
                continue
            if not is_file_path(path):
                self._ignore(f"{folder}/{path}", "such a path cannot be a file of a model")
            elif not entry.is_folder:
                yield self._file(folder, path, entry)
            elif depth < MAX_DEPTH:
                yield from self._below(folder, f"{path}/", depth + 1)

    def _file(self, folder: str, path: str, entry: Entry) -> RemoteFile:
        # A list of links says no more than names.
        known = entry if entry.state else self._files.state(f"{folder}/{path}")
        return RemoteFile(path, known.size, "", known.state)

    def _entries(self, folder: str) -> list[Entry]:
        try:
            return self._files.entries(folder)
        except MissingError:
            # Deleted meanwhile; object stores have no empty folders.
            if folder:
                return []
            raise

    def _ignore(self, path: str, reason: str) -> None:
        with self._lock:
            if path in self._ignored or len(self._ignored) > MAX_FILES:
                return
            self._ignored.add(path)
        _log.warning("%s/%s is ignored: %s", self._files.url, path[:200], reason)


def _of_index(entry: IndexedVersion) -> RemoteVersion:
    files = tuple(
        RemoteFile(file.path, file.bytes, file.sha256, "")
        for file in sorted(entry.files, key=lambda file: file.path)
    )
    return RemoteVersion(entry.name, entry.version, files)


def _too_large(files: FileSystem, problem: str) -> StoreError:
    return StoreError(
        f"{files.url} has {problem}: give the folder of the models only", reason="STORE_TOO_LARGE"
    )
