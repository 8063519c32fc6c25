"""The files at a URL, as fsspec sees them: bounded in time and in number, with errors of ours."""

from __future__ import annotations

import posixpath
import secrets
import time
from collections.abc import Callable, Generator
from contextlib import closing
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

from spyglass_server.engine.models.stores.entry import Entry, entry_of
from spyglass_server.engine.models.stores.failures import (
    MissingError,
    StoreError,
    Value,
    retried,
    store_error,
)
from spyglass_server.engine.models.stores.opened import open_file_system, root_of
from spyglass_server.engine.models.stores.options import PATIENCE, Patience
from spyglass_server.engine.models.stores.url import StoreUrl
from spyglass_server.engine.models.stores.waiting import Waiting

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

CHUNK = 4 * 1024 * 1024
MIN_BYTES_PER_SECOND = 16 * 1024
"""A download that is slower is given up, after the first `seconds`."""
MAX_ENTRIES = 10_000
"""The most entries of one folder."""


class FileSystem:
    """The files at one URL; paths are below it, with slashes. Every method may raise StoreError.

    Safe to use from any thread.
    """

    def __init__(self, url: StoreUrl, patience: Patience = PATIENCE) -> None:
        self.url = url
        self._patience = patience
        self._seconds = patience.seconds
        self._waiting = Waiting()

    def close(self) -> None:
        """Let every call end at once with StoreError (SERVER_ENDS)."""
        self._waiting.close()

    @cached_property
    def _opened(self) -> AbstractFileSystem:
        return open_file_system(self.url, self._seconds)

    def entries(self, path: str = "") -> list[Entry]:
        """Return what is in a folder, sorted by name. Raises MissingError."""
        where = self._at(path, is_folder=True)
        found = self._call(path, lambda: self._opened.ls(where, detail=True))
        if len(found) > MAX_ENTRIES:
            raise StoreError(
                f"{self.url}/{path} has more than {MAX_ENTRIES} entries: give the folder of the models only",
                reason="STORE_TOO_LARGE",
            )
        entries = {entry.name: entry for info in found if (entry := self._entry(where, info))}
        return sorted(entries.values(), key=lambda entry: entry.name)

    def state(self, path: str) -> Entry:
        """Return what a file is now. Raises MissingError."""
        return entry_of(path, self._call(path, lambda: self._opened.info(self._at(path))))

    def chunks(self, path: str) -> Generator[bytes]:
        """Yield the content of a file. Raises MissingError."""
        started, received = time.monotonic(), 0
        with closing(self._once(path, lambda: self._open(path))) as file:
            while chunk := self._once(path, lambda: file.read(CHUNK)):
                received += len(chunk)
                yield chunk
                elapsed = time.monotonic() - started - self._seconds
                if elapsed * MIN_BYTES_PER_SECOND > received:
                    raise StoreError(
                        f"{self.url}/{path} arrives with less than {MIN_BYTES_PER_SECOND} bytes a second",
                        reason="STORE_UNREACHABLE",
                        passing=True,
                    )

    def read(self, path: str, max_bytes: int) -> bytes | None:
        """Return the content of a small file, at most `max_bytes` + 1 of it; None: there is none."""

        def attempt() -> bytes:
            data = b""
            with closing(self.chunks(path)) as chunks:
                for chunk in chunks:
                    data += chunk
                    if len(data) > max_bytes:
                        break
            return data[: max_bytes + 1]

        try:
            return retried(attempt, self._patience)
        except MissingError:
            return None

    def write(self, path: str, data: bytes) -> None:
        """Write a file in one step.

        Raises StoreError: STORE_READ_ONLY if that is not allowed, else STORE_UNWRITABLE.
        """
        shown = f"{self.url}/{path}"
        if self.url.is_http:
            raise StoreError(
                f"{shown} cannot be written: a web server is read only", reason="STORE_READ_ONLY"
            )
        try:
            self._call(path, lambda: self._write(self._at(path), data))
        except NotImplementedError:
            raise StoreError(
                f"{shown} cannot be written: {self.url.scheme}:// is read only", reason="STORE_READ_ONLY"
            ) from None
        except StoreError as error:
            reason = "STORE_READ_ONLY" if error.reason == "STORE_REFUSED" else "STORE_UNWRITABLE"
            message = error.message.replace("may not be read", "may not be written")
            raise StoreError(message, reason=reason) from None

    def _write(self, where: str, data: bytes) -> None:
        if self.url.scheme not in ("file", "local"):
            # Object stores show an object when all of it is there.
            self._opened.pipe_file(where, data)
            return
        folder, _, name = where.rpartition("/")
        temporary = f"{folder}/.{secrets.token_hex(4)}.{name}"
        try:
            self._opened.pipe_file(temporary, data)
            self._opened.mv(temporary, where)
        finally:
            if self._opened.exists(temporary):
                self._opened.rm_file(temporary)

    def _open(self, path: str) -> Any:
        # Of HTTP: the size keeps fsspec from asking for it, and the header keeps the bytes as they are.
        options: dict[str, Any] = (
            {"size": 1, "headers": {"Accept-Encoding": "identity"}}
            if self.url.is_http
            else {"block_size": CHUNK, "cache_type": "none"}
        )
        return self._opened.open(self._at(path), "rb", **options)

    def _at(self, path: str, *, is_folder: bool = False) -> str:
        """Return a path as the file system names it."""
        root = root_of(self._opened, self.url)
        if not self.url.is_http:
            return f"{root}/{path}" if path else root or "/"
        # Without a slash at the end, web servers redirect, or show something else.
        return "/".join(filter(None, [root, quote(path)])) + ("/" if is_folder else "")

    def _entry(self, folder: str, info: dict[str, Any]) -> Entry | None:
        """Return what an entry of a folder is; None for what is no file, or not in this folder."""
        full = str(info["name"])
        if self.url.is_http:
            if not full.startswith(folder):
                return None
            name = unquote(full[len(folder) :].removesuffix("/"))
        else:
            # Object stores may have an empty object in the place of the folder.
            is_inside = full.rstrip("/") != folder.rstrip("/")
            name = posixpath.basename(full.rstrip("/")) if is_inside else ""
        if not name or "/" in name or (self.url.is_http and {"?", "#"} & set(full[len(folder) :])):
            return None
        if info.get("islink"):
            # fsspec says in a folder only that it is a link.
            try:
                info = self._call(name, lambda: self._opened.info(full))
            except MissingError:
                return None
        return entry_of(name, info) if info["type"] in ("file", "directory") else None

    def _call(self, path: str, work: Callable[[], Value]) -> Value:
        return retried(lambda: self._once(path, work), self._patience)

    def _once(self, path: str, work: Callable[[], Value]) -> Value:
        """Return what `work` returns, in time. Raises StoreError for every error of the file system."""
        try:
            return self._waiting.within(2 * self._seconds, work)
        except (StoreError, NotImplementedError):
            raise
        # The errors of file systems have no common base.
        except Exception as error:
            raise store_error(error, self.url, path) from None
