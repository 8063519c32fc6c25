"""One file that a cache is to hold, and the check of what arrives for it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from spyglass_server.engine.models.stores.content import Held
from spyglass_server.engine.models.stores.failures import StoreError, retried
from spyglass_server.engine.models.stores.options import Patience

CHUNK = 4 * 1024 * 1024

Chunks = Callable[[], Generator[bytes]]
Take = Callable[[int, int], object]
"""Gets the bytes of a file so far, and of its last chunk; raises StoreError if there is no room for it."""


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


def receive(wanted: Wanted, target: Path, take: Take, patience: Patience) -> Held:
    """Write a file to `target` and to the disk, in several attempts if need be; ask `take` for each chunk.

    Raises the errors of `take`, OSError, and StoreError if the file cannot be read, or has another size or
    hash than it should.
    """
    return retried(lambda: receive_once(wanted, target, take), patience)


def receive_once(wanted: Wanted, target: Path, take: Take) -> Held:
    """Do what `receive` does, in one attempt."""
    digest, size = hashlib.sha256(), 0
    target.unlink(missing_ok=True)
    with target.open("xb") as file, closing(wanted.chunks()) as chunks:
        for chunk in chunks:
            size += len(chunk)
            if wanted.size is not None and size > wanted.size:
                raise StoreError(
                    f"{wanted.shown} should have {wanted.size} bytes, and more arrived",
                    reason="DOWNLOAD_DAMAGED",
                    passing=True,
                )
            take(size, len(chunk))
            digest.update(chunk)
            file.write(chunk)
            # For `take`, which may look at the bytes on the disk.
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
