"""Models at a URL, which a cache on this machine holds while they serve."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from threading import Lock

from spyglass_server.engine.models.stores.failures import MissingError, StoreError
from spyglass_server.engine.models.stores.file_system import FileSystem
from spyglass_server.engine.models.stores.listing import MAX_VERSIONS, Listing, RemoteFile, RemoteVersion
from spyglass_server.engine.models.stores.locks import lock_file
from spyglass_server.engine.models.stores.model_cache import ModelCache, Slot
from spyglass_server.engine.models.stores.names import is_name
from spyglass_server.engine.models.stores.options import RemoteOptions
from spyglass_server.engine.models.stores.remembered import Remembered
from spyglass_server.engine.models.stores.store import MAX_ROUTING_BYTES, ROUTING_FILE, Stored
from spyglass_server.engine.models.stores.url import StoreUrl
from spyglass_server.engine.models.stores.wanted import Wanted

_log = logging.getLogger(__name__)


class RemoteStore:
    """The models at a URL that fsspec opens.

    A version is copied into the cache when it is to be loaded, and not again before its files change. If the
    repository cannot be reached from the start on, the store has the versions that the cache has.
    """

    def __init__(self, url: StoreUrl, options: RemoteOptions) -> None:
        """Connect to nothing yet. Raises ModelError (CACHE_UNUSABLE) if there is no folder for the cache."""
        self._url = url
        self._cache = ModelCache(options)
        self._files = FileSystem(url, options.patience)
        self._listing = Listing(self._files)
        self._id = hashlib.sha256(url.shown.encode()).hexdigest()[:32]
        self._folder = self._cache.folder / "stores" / self._id
        self._remembered = Remembered(self._folder, url.shown)
        self._lock = Lock()
        self._changing: dict[str, Lock] = {}
        self._listed: dict[tuple[str, int], RemoteVersion] = {}
        # Whether the repository was reached since this store was made.
        self._was_reached = False
        self._warned: set[str] = set()

    @property
    def title(self) -> str:
        """See `Store.title`."""
        return str(self._url)

    def versions(self) -> list[Stored]:
        """See `Store.versions`."""
        try:
            listed = self._listing.versions()
        except StoreError as error:
            return self._known_versions(error)
        found = [version.stored for version in listed]
        with self._lock:
            self._was_reached = True
            self._listed = {(version.name, version.version): version for version in listed}
        self._remembered.keep_versions(found)
        return found

    def fetch(self, stored: Stored) -> Path:
        """See `Store.fetch`; the files stay until `release`."""
        return self._cache.fetch(self._slot(stored), lambda: self._wanted(stored))

    def release(self, path: Path) -> None:
        """See `Store.release`."""
        self._cache.release(path)

    def close(self) -> None:
        """See `Store.close`."""
        self._files.close()

    def read(self, name: str) -> bytes | None:
        """See `Store.read`."""
        _check_name(name)
        try:
            data = self._files.read(f"{name}/{ROUTING_FILE}", MAX_ROUTING_BYTES)
        except StoreError as error:
            return self._known_routing(name, error)
        self._remembered.keep_routing(name, data)
        return data

    def write(self, name: str, data: bytes) -> None:
        """See `Store.write`."""
        _check_name(name)
        self._files.write(f"{name}/{ROUTING_FILE}", data)
        self._remembered.keep_routing(name, data)

    @contextmanager
    def changing(self, name: str) -> Iterator[None]:
        """See `Store.changing`: other processes on this machine wait, too; other machines do not."""
        _check_name(name)
        with self._lock:
            alone = self._changing.setdefault(name, Lock())
        with alone:
            try:
                lock = lock_file(self._folder / "routing" / f"{name}.lock")
            except OSError as error:
                raise StoreError(
                    "the cache of models cannot be used; set --model-cache to a folder that this user may "
                    "write to",
                    reason="CACHE_UNUSABLE",
                    detail=f"{self._cache.folder}: {error.strerror}",
                ) from None
            assert lock is not None
            try:
                yield
            finally:
                os.close(lock)

    def _known_versions(self, error: StoreError) -> list[Stored]:
        """Return what the cache has, if the repository was not reached yet; else raise `error`."""
        if self._was_reached or error.reason != "STORE_UNREACHABLE":
            raise error
        found = [stored for stored in self._remembered.versions() if self._cache.has(self._slot(stored))]
        if not found:
            raise error
        self._warn(f"{error.message}; the server uses its copies (versions: {len(found)})")
        return found

    def _known_routing(self, name: str, error: StoreError) -> bytes | None:
        """Return the last known routing if `_known_versions` says what serves; else raise `error`.

        Who may not list a bucket is told that a missing file may not be read: then there is none, if an index
        says which versions there are, and if there was none before.
        """
        known = self._remembered.routing(name)
        if error.reason == "STORE_UNREACHABLE" and not self._was_reached:
            return known
        if error.reason == "STORE_REFUSED" and self._listing.has_index and known is None:
            self._warn(f"{error.message}; the server takes it as missing")
            return None
        raise error

    def _warn(self, message: str) -> None:
        """Log a warning once: stores are read again and again."""
        with self._lock:
            if message in self._warned or len(self._warned) > MAX_VERSIONS:
                return
            self._warned.add(message)
        _log.warning("%s", message)

    def _wanted(self, stored: Stored) -> Sequence[Wanted]:
        """Return the files of a version. Raises StoreError (MODEL_CHANGED) if it is not the same any more."""
        with self._lock:
            version = self._listed.get((stored.name, stored.version))
        if version is None or version.stored != stored:
            version = self._listing.files_of(stored)
        if version is None or version.stored != stored:
            raise _changed(f"{self._url}/{stored.name}/{stored.version}")
        _log.info("%s: fetching %s", self._url, version.folder)
        return [
            Wanted(
                file.path,
                f"{self._url}/{version.folder}/{file.path}",
                file.size,
                file.sha256,
                partial(self._chunks, f"{version.folder}/{file.path}", file),
            )
            for file in version.files
        ]

    def _chunks(self, path: str, file: RemoteFile) -> Generator[bytes]:
        """Yield the content of a file. Raises StoreError (MODEL_CHANGED) if it is written meanwhile."""
        try:
            yield from self._files.chunks(path)
            # With a hash, the content itself is checked.
            is_same = bool(file.sha256) or self._files.state(path).state == file.state
        except MissingError:
            is_same = False
        if not is_same:
            raise _changed(f"{self._url}/{path}")

    def _slot(self, stored: Stored) -> Slot:
        key = hashlib.sha256(f"{self._id}\n{stored.name}\n{stored.version}\n{stored.stamp}".encode())
        return Slot(key.hexdigest()[:32], stored.name, stored.version)


def _changed(place: str) -> StoreError:
    return StoreError(
        f"{place} was written or deleted while it was read: the next look at the repository takes it as it "
        "is then; write new versions into folders of their own",
        reason="MODEL_CHANGED",
    )


def _check_name(name: str) -> None:
    """Raise StoreError for a name that would lead to another folder."""
    if not is_name(name):
        raise StoreError(f"{name[:100]!r} is no name of a model")
