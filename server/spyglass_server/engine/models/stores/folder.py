"""Models in a folder."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock

from spyglass_contract.errors import ModelError
from spyglass_contract.files import whole_file
from spyglass_contract.images.folders import is_hidden
from spyglass_server.engine.models.stores.store import MAX_ROUTING_BYTES, MODEL_FILE, ROUTING_FILE, Stored

_log = logging.getLogger(__name__)

_READ_ONLY = (errno.EACCES, errno.EPERM, errno.EROFS)


class FolderStore:
    """A folder with NAME/VERSION/model.onnx."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._lock = Lock()
        self._ignored: set[Path] = set()

    @property
    def title(self) -> str:
        """See `Store.title`."""
        return str(self.root)

    def versions(self) -> list[Stored]:
        """See `Store.versions`."""
        found = []
        for path in self.files():
            # Others may delete a version at any moment.
            with suppress(FileNotFoundError):
                stored = Stored(path.parent.parent.name, int(path.parent.name), _stamp(path.parent))
                found.append(stored)
        return found

    def files(self) -> list[Path]:
        """Return each NAME/VERSION/model.onnx. Raises ModelError if the folder cannot be read."""
        found = []
        try:
            paths = [
                self.root / name / version / MODEL_FILE
                for name in os.listdir(self.root)
                for version in _listed(self.root / name)
            ]
            paths = sorted(path for path in paths if path.exists())
        except OSError as error:
            raise ModelError(
                f"the folder of models {self.root} cannot be read: {error.strerror}",
                reason="STORE_UNREADABLE",
            ) from None
        for path in paths:
            if is_hidden(path.parent.parent.name) or is_hidden(path.parent.name):
                continue
            if path.parent.name.isdecimal() and str(int(path.parent.name)) == path.parent.name:
                found.append(path)
            elif path not in self._ignored:
                self._ignored.add(path)
                _log.warning("%s is ignored: a version must be a whole number without leading zeros", path)
        return sorted(found, key=lambda path: (path.parent.parent.name, int(path.parent.name)))

    def fetch(self, stored: Stored) -> Path:
        """See `Store.fetch`."""
        return self.root / stored.name / str(stored.version) / MODEL_FILE

    def release(self, path: Path) -> None:
        """See `Store.release`."""

    def close(self) -> None:
        """See `Store.close`."""

    def read(self, name: str) -> bytes | None:
        """See `Store.read`."""
        try:
            with (self.root / name / ROUTING_FILE).open("rb") as file:
                return file.read(MAX_ROUTING_BYTES + 1)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise ModelError(
                f"{name}/{ROUTING_FILE} cannot be read: {error.strerror}", reason="STORE_UNREADABLE"
            ) from None

    def write(self, name: str, data: bytes) -> None:
        """See `Store.write`. After a crash of the machine the file is the old one or the new one."""
        try:
            with whole_file(self.root / name / ROUTING_FILE) as path, path.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            reason = "STORE_READ_ONLY" if error.errno in _READ_ONLY else "STORE_UNWRITABLE"
            raise ModelError(
                f"{name}/{ROUTING_FILE} cannot be written: {error.strerror}", reason=reason
            ) from None

    @contextmanager
    def changing(self, name: str) -> Iterator[None]:
        """See `Store.changing`: other processes on this machine wait, too."""
        with self._lock:
            try:
                folder = os.open(self.root / name, os.O_RDONLY)
            except OSError:
                # There is no such model: nobody else can change it.
                yield
                return
            try:
                fcntl.flock(folder, fcntl.LOCK_EX)
                yield
            finally:
                os.close(folder)


def _listed(folder: Path) -> list[str]:
    """Return the names in a folder; none of what is no folder, was deleted, or is not for this process."""
    try:
        return os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return []


def _stamp(folder: Path) -> str:
    """Return a text that changes with the files of a version: their names, sizes, times or places.

    Raises FileNotFoundError if the folder was deleted.
    """
    found = []
    for entry in sorted(folder.iterdir()):
        try:
            status = entry.stat()
        except OSError:
            continue
        if not is_hidden(entry.name):
            found.append((entry.name, status.st_size, status.st_mtime_ns, status.st_ino, status.st_dev))
    return hashlib.sha256(repr(found).encode()).hexdigest()
