"""A file or folder of a file system, and what changes when it is written."""

from __future__ import annotations

import posixpath
from dataclasses import dataclass
from datetime import datetime
from typing import Any

# What changes with a file, the surest first: of the first row that a file system has, all count.
_STATES = (
    ("ETag", "etag", "md5Hash", "crc32c", "generation", "Content-MD5", "Digest"),
    ("mtime", "ino", "LastModified", "last_modified", "Last-Modified", "updated", "modified"),
    ("created",),
)


@dataclass(frozen=True)
class Entry:
    """A file or folder."""

    # The last part of its path.
    name: str
    is_folder: bool
    # None: the file system does not say it.
    size: int | None
    # What changes when the file is written, as a text; empty: the file system does not say it.
    state: str


def entry_of(path: str, info: dict[str, Any]) -> Entry:
    """Return what fsspec says of a path."""
    size = info.get("size")
    state: list[str] = []
    for names in _STATES:
        state = state or [f"{name}={_text(info[name])}" for name in names if info.get(name)]
    return Entry(
        posixpath.basename(path),
        info["type"] == "directory",
        size if isinstance(size, int) else None,
        " ".join(state)[:1000],
    )


def _text(value: object) -> str:
    if isinstance(value, datetime):
        return repr(value.timestamp())
    # Of an ETag: the same with and without quotes.
    return repr(value) if isinstance(value, float) else str(value).strip('"')
