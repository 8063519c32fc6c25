"""Open files as images: io.BytesIO, files opened with "rb", tempfile's files, responses of urllib."""

from __future__ import annotations

import inspect
from typing import Any, Protocol, runtime_checkable

from spyglass_contract.errors import ImageError

# Bytes for one call of `read`.
_CHUNK = 2**20


@runtime_checkable
class BinaryFile(Protocol):
    """An object with the method `read` of a binary file."""

    def read(self, size: int = ..., /) -> bytes | None:
        """Return up to `size` bytes, and none at the end."""


def read_open_file(file: BinaryFile, limit: int) -> bytes:
    """Return the bytes of a file from its start, or from where it is if it cannot seek.

    The file stays open. Reading ends after more than `limit` bytes. Raises ImageError if the file is closed,
    was opened as text, or cannot be read.
    """
    try:
        _rewind(file)
        parts: list[bytes] = []
        size = 0
        while size <= limit and (part := _bytes(file.read(_CHUNK))):
            parts.append(part)
            size += len(part)
    except ImageError:
        raise
    # The object may be of any class, so that its method may raise anything.
    except Exception as error:
        cause = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise _unreadable(cause or type(error).__name__) from error
    return b"".join(parts)


def _rewind(file: Any) -> None:
    """Go to the start of the file: whoever has just written it leaves it at its end."""
    if getattr(file, "closed", False) is True:
        raise _unreadable("it is closed")
    seekable = getattr(file, "seekable", None)
    if seekable is not None and seekable():
        file.seek(0)


def _bytes(part: Any) -> bytes:
    if isinstance(part, bytes):
        return part
    if isinstance(part, bytearray | memoryview):
        return bytes(part)
    if isinstance(part, str):
        raise _unreadable('it was opened as text; open it with "rb"')
    if inspect.iscoroutine(part):
        part.close()
        raise _unreadable("its method read is asynchronous; pass the bytes, await file.read()")
    if part is None:
        raise _unreadable("it is not blocking, and has no bytes yet")
    raise _unreadable(f"its method read returns {type(part).__name__}, not bytes")


def _unreadable(cause: str) -> ImageError:
    return ImageError(f"the open file cannot be read: {cause}", reason="IMAGE_UNREADABLE", field="image")
