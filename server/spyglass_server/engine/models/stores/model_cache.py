"""Copies of models on this machine, which servers and their processes share.

    versions/KEY/files/NAME/VERSION/…   one version, complete if versions/KEY/content.json is there
    blobs/ab/abcd…                      the same files by their SHA-256, as hard links
    downloads/KEY/…                     files that arrive; after a crash the next server deletes them

A key is of a repository, a version and its stamp, so nothing here is ever written again. A file is written,
flushed to the disk and then renamed: a reader finds all of it or nothing.
"""

from __future__ import annotations

import errno
import logging
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from threading import RLock

from spyglass_server.engine.models.stores.content import CONTENT, Held, is_complete, write_content
from spyglass_server.engine.models.stores.failures import StoreError
from spyglass_server.engine.models.stores.locks import lock_file, locked
from spyglass_server.engine.models.stores.options import RemoteOptions
from spyglass_server.engine.models.stores.room import FILES, FILL_LOCK, USE_LOCK, Budget, Room
from spyglass_server.engine.models.stores.store import MODEL_FILE
from spyglass_server.engine.models.stores.wanted import Wanted, file_chunks, receive, receive_once

_log = logging.getLogger(__name__)

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@dataclass(frozen=True)
class Slot:
    """The place of one version in a cache."""

    key: str
    name: str
    version: int

    def folder(self, below: Path) -> Path:
        """Return its NAME/VERSION below a folder of the cache."""
        return below / FILES / self.name / str(self.version)


class ModelCache:
    """A folder with copies of models; safe to use from any thread and any process of a machine.

    Every method may raise StoreError: CACHE_FULL if the disk or the cache has no room, CACHE_UNUSABLE if the
    folder cannot be used.
    """

    def __init__(self, options: RemoteOptions) -> None:
        """Touch no file yet. Raises StoreError if there is no folder for the cache."""
        if options.cache is None:
            raise StoreError(
                "models at URLs need a folder for copies, and this user has no home folder: set "
                "--model-cache",
                reason="CACHE_UNUSABLE",
            )
        self.folder = options.cache
        self._patience = options.patience
        self._max_file_bytes = options.max_file_bytes
        self._room = Room(options.cache, options.cache_bytes)
        # A model that ends may release its files in the middle of a `fetch` of the same thread.
        self._lock = RLock()
        # Of each version in use: the lock that says so to other processes, once for each user.
        self._held: dict[Path, list[int]] = {}

    def has(self, slot: Slot) -> bool:
        """Return whether a version is complete; its files are not read."""
        return (self._room.versions / slot.key / CONTENT).exists()

    def fetch(self, slot: Slot, wanted: Callable[[], Sequence[Wanted]]) -> Path:
        """Return the path of NAME/VERSION/model.onnx; get the files that `wanted` returns if it is not here.

        The version counts as in use until `release` gets the path. Raises the errors of the files, too.
        """
        folder = self._room.versions / slot.key
        path = slot.folder(folder) / MODEL_FILE
        with self._errors():
            lock = lock_file(folder / USE_LOCK, shared=True)
            assert lock is not None
            try:
                if not is_complete(folder, slot.folder(folder)):
                    with locked(folder / FILL_LOCK):
                        # Another process may have got it meanwhile.
                        if not is_complete(folder, slot.folder(folder)):
                            self._fill(slot, wanted())
                os.utime(folder / USE_LOCK)
            except BaseException:
                os.close(lock)
                raise
        with self._lock:
            self._held.setdefault(path, []).append(lock)
        return path

    def release(self, path: Path) -> None:
        """Take back one `fetch`: after the last one the version may be deleted to make room."""
        with self._lock:
            if locks := self._held.get(path):
                lock = locks.pop()
                # It was in use until now.
                with suppress(OSError):
                    os.utime(lock)
                os.close(lock)
            if not locks:
                self._held.pop(path, None)

    def _fill(self, slot: Slot, files: Sequence[Wanted]) -> None:
        for file in files:
            if (file.size or 0) > self._max_file_bytes:
                raise _too_large(file, str(file.size), self._max_file_bytes)
        download, folder = self._room.downloads / slot.key, self._room.versions / slot.key
        # There if it is damaged.
        (folder / CONTENT).unlink(missing_ok=True)
        budget = self._room.budget(sum(file.size or 0 for file in files))
        shutil.rmtree(download, ignore_errors=True)
        try:
            held = [self._get(file, slot.folder(download), budget) for file in files]
            _sync_folders(download)
            self._publish(slot, download, folder, held)
        finally:
            shutil.rmtree(download, ignore_errors=True)

    def _get(self, wanted: Wanted, folder: Path, budget: Budget) -> Held:
        """Write one file below `folder`: from the content that is here already, or from its repository."""
        target = folder / wanted.path
        target.parent.mkdir(parents=True, exist_ok=True)

        def take(so_far: int, count: int) -> None:
            if so_far > self._max_file_bytes:
                raise _too_large(wanted, f"more than {self._max_file_bytes}", self._max_file_bytes)
            budget.take(count)

        blob = self._blob(wanted.sha256)
        if wanted.sha256 and blob.exists():
            # A further link to it would change the time of a file in use, which counts as a change of it.
            here = replace(wanted, chunks=lambda: file_chunks(blob))
            try:
                return receive_once(here, target, take)
            except FileNotFoundError:
                # Deleted meanwhile.
                pass
            except StoreError as error:
                if not error.passing:
                    raise
                _log.warning("%s is damaged, and is fetched again: %s", blob, error.message)
                blob.unlink(missing_ok=True)
        return receive(wanted, target, take, self._patience)

    def _publish(self, slot: Slot, download: Path, folder: Path, held: Sequence[Held]) -> None:
        for file in held:
            blob = self._blob(file.sha256)
            blob.parent.mkdir(parents=True, exist_ok=True)
            # Without hard links, each version has a copy of its own.
            with suppress(OSError):
                os.link(slot.folder(download) / file.path, blob)
        with suppress(FileNotFoundError):
            # Damaged: it leaves with the download.
            (folder / FILES).rename(download / "damaged")
        (download / FILES).rename(folder / FILES)
        _sync(folder)
        write_content(folder, held)

    def _blob(self, sha256: str) -> Path:
        return self._room.blobs / sha256[:2] / sha256

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno in _FULL:
                raise StoreError(
                    "the cache of models has no space left on its disk; free some, or set --model-cache to "
                    "another folder",
                    reason="CACHE_FULL",
                    detail=str(self.folder),
                ) from None
            raise StoreError(
                "the cache of models cannot be used; set --model-cache to a folder that this user may write "
                "to",
                reason="CACHE_UNUSABLE",
                detail=f"{self.folder}: {error.strerror}",
            ) from None


def _sync_folders(folder: Path) -> None:
    for path, _, _ in os.walk(folder):
        _sync(Path(path))


def _sync(folder: Path) -> None:
    """Write the names in a folder to the disk."""
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def _too_large(file: Wanted, size: str, most: int) -> StoreError:
    return StoreError(
        f"{file.shown} has {size} bytes, and at most {most} are allowed; if you trust it, set "
        "--max-model-bytes",
        reason="MODEL_TOO_LARGE",
    )
