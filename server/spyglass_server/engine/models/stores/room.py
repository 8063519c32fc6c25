"""The room of a cache of models: what was not used for longest leaves it, and never what is in use."""

from __future__ import annotations

import logging
import os
import secrets
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from spyglass_server.engine.models.stores.content import CONTENT
from spyglass_server.engine.models.stores.failures import StoreError
from spyglass_server.engine.models.stores.locks import lock_file, locked

_log = logging.getLogger(__name__)

USE_LOCK, FILL_LOCK, FILES = "use.lock", "fill.lock", "files"
"""Of a version in a cache: the file that its users hold, the one that who fills it holds, and its folder."""


@dataclass(frozen=True)
class _Version:
    folder: Path
    bytes: int
    # Seconds since the epoch.
    used: float
    is_complete: bool


class Room:
    """The bytes that the versions in a cache take, shared by every process that uses it."""

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self._folder = folder
        self._max_bytes = max_bytes
        # A file of unknown size gets room in such steps.
        self.step = min(64 * 1024 * 1024, max_bytes // 16)
        self.versions, self.blobs, self.downloads = (
            folder / name for name in ("versions", "blobs", "downloads")
        )

    def make(self, needed: int) -> int:
        """Delete what was not used for longest until `needed` bytes fit; return the bytes that then fit.

        Raises StoreError (CACHE_FULL) if that does not suffice, and OSError.
        """
        if needed > self._max_bytes:
            raise self._full(needed, "more than it may ever hold")
        with locked(self._folder / "room.lock"):
            self._drop_leftovers()
            versions = sorted(self._versions(), key=lambda version: version.used)
            free = self._max_bytes - sum(version.bytes for version in versions) - _bytes(self.downloads)
            for version in versions:
                if (not version.is_complete or free < needed) and self._delete(version.folder):
                    free += version.bytes
            self._drop_blobs()
        if free < needed:
            raise self._full(needed, f"and has room for {max(0, free)} beside what is in use")
        return free

    def budget(self, needed: int) -> Budget:
        """Return the bytes for a version, of which `needed` are sure to fit. Raises the errors of `make`."""
        return Budget(self, self.make(needed))

    def _versions(self) -> Iterator[_Version]:
        for folder in self.versions.iterdir() if self.versions.is_dir() else ():
            try:
                used = (folder / USE_LOCK).stat().st_mtime
            except FileNotFoundError:
                used = 0.0
            yield _Version(folder, _bytes(folder), used, (folder / CONTENT).exists())

    def _delete(self, folder: Path) -> bool:
        """Delete a version; return False if it is in use."""
        lock = lock_file(folder / USE_LOCK, wait=False)
        if lock is None:
            return False
        try:
            # In one step: who waits for the lock then finds nothing.
            self.downloads.mkdir(parents=True, exist_ok=True)
            away = self.downloads / f".{secrets.token_hex(8)}"
            folder.rename(away)
        finally:
            os.close(lock)
        if _bytes(away):
            _log.info("the cache of models has deleted %s, to make room", _title(away))
        shutil.rmtree(away, ignore_errors=True)
        return True

    def _drop_leftovers(self) -> None:
        """Delete what processes have left that ended while they downloaded."""
        for folder in self.downloads.iterdir() if self.downloads.is_dir() else ():
            of_version = self.versions / folder.name
            lock = lock_file(of_version / FILL_LOCK, wait=False) if of_version.is_dir() else -1
            if lock is None:
                continue
            shutil.rmtree(folder, ignore_errors=True)
            if lock >= 0:
                os.close(lock)

    def _drop_blobs(self) -> None:
        """Delete content that no version has."""
        for blob in self.blobs.glob("*/*"):
            try:
                if blob.stat().st_nlink == 1:
                    blob.unlink()
            except FileNotFoundError:
                continue

    def _full(self, needed: int, why: str) -> StoreError:
        return StoreError(
            f"the cache of models needs {needed} bytes for this version, {why}: set --model-cache-bytes, "
            f"which is {self._max_bytes}, or unload models",
            reason="CACHE_FULL",
        )


class Budget:
    """The bytes for one version; it makes more room if a file turns out to be larger."""

    def __init__(self, room: Room, free: int) -> None:
        self._room = room
        self._free = free

    def take(self, count: int) -> None:
        """Use some bytes. Raises the errors of `Room.make`."""
        if count > self._free:
            # What has arrived is in its folder of downloads, and counts there.
            self._free = self._room.make(max(count, self._room.step))
        self._free -= count


def _title(folder: Path) -> str:
    found = next(folder.glob(f"{FILES}/*/*/"), None)
    return "/".join(found.parts[-2:]) if found else folder.name


def _bytes(folder: Path) -> int:
    """Return the bytes of the files below a folder, as far as they are still there."""
    size = 0
    for path, _, names in os.walk(folder):
        for name in names:
            try:
                size += os.lstat(os.path.join(path, name)).st_size
            except FileNotFoundError:
                continue
    return size
