"""One file that a cache is to hold, and the check of what arrives for it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Field

from spyglass_server.engine.models.stores.failures import StoreError, retried

CHUNK = 4 * 1024 * 1024

Chunks = Callable[[], Generator[bytes]]


@dataclass(frozen=True)
class Wanted:
    """A file to get."""

    # Below NAME/VERSION, with slashes, and as a text for messages.
    path: str
    shown: str
    # Bytes; None: unknown.
    size: int | None
    # Lower-case hexadecimal; empty: unknown.
    sha256: str
    # Yields the content; raises StoreError.
    chunks: Chunks


@dataclass(frozen=True)
class Held:
    """A file that the cache has."""

    path: Annotated[str, Field(max_length=2000)]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    bytes: Annotated[int, Field(ge=0)]


def receive(wanted: Wanted, target: Path, most: int) -> Held:
    """Write a file of at most `most` bytes to `target`, in up to four attempts; it is on the disk at the end.

    Raises StoreError if it cannot be read, is too large, or has another size or hash than it should, and
    OSError.
    """
    return retried(lambda: receive_once(wanted, target, most))


def receive_once(wanted: Wanted, target: Path, most: int) -> Held:
    """Do what `receive` does, in one attempt."""
    digest, size = hashlib.sha256(), 0
    limit = most if wanted.size is None else min(most, wanted.size)
    target.unlink(missing_ok=True)
    with target.open("xb") as file, closing(wanted.chunks()) as chunks:
        for chunk in chunks:
            size += len(chunk)
            if size > limit:
                raise _too_long(wanted, most) if limit == most else _grown(wanted)
            digest.update(chunk)
            file.write(chunk)
        file.flush()
        os.fsync(file.fileno())
    if wanted.size is not None and size != wanted.size:
        raise StoreError(
            f"of {wanted.shown}, {size} of {wanted.size} bytes arrived",
            reason="DOWNLOAD_INCOMPLETE",
            passing=True,
        )
    if wanted.sha256 and digest.hexdigest() != wanted.sha256:
        raise StoreError(
            f"{wanted.shown} arrived with the SHA-256 {digest.hexdigest()}, and the index says "
            f"{wanted.sha256}: upload the file and the index again",
            reason="DOWNLOAD_DAMAGED",
            passing=True,
        )
    # What has links elsewhere must not be written through one of them.
    target.chmod(0o444)
    return Held(wanted.path, digest.hexdigest(), size)


def file_chunks(path: Path) -> Generator[bytes]:
    """Yield the content of a file on this machine. Raises OSError."""
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            yield chunk


def _too_long(wanted: Wanted, most: int) -> StoreError:
    return StoreError(
        f"{wanted.shown} has more than {most} bytes, which is the most that it may have here: see "
        "--max-model-bytes and --model-cache-bytes",
        reason="MODEL_TOO_LARGE",
    )


def _grown(wanted: Wanted) -> StoreError:
    return StoreError(
        f"{wanted.shown} should have {wanted.size} bytes, and more arrived",
        reason="DOWNLOAD_DAMAGED",
        passing=True,
    )
