"""Atomic file writing: a reader finds the old file or the new one, never a part of it."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path in the folder of `path`; when the block ends, it replaces `path` in one step.

    If the block raises, the temporary file is removed and `path` stays as it was. Several threads and
    processes may write the same file at a time: each temporary name is random. It is hidden, and ends as
    `path` does: Keras and numpy choose the format by the suffix.
    """
    temporary = path.with_name(f".{secrets.token_hex(4)}.{path.name}")
    try:
        yield temporary
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_whole(path: Path, data: bytes | str) -> None:
    """Write `data` to `path` in one step; text is encoded as UTF-8, line ends as they are."""
    with whole_file(path) as temporary:
        temporary.write_bytes(data.encode("utf-8") if isinstance(data, str) else data)
