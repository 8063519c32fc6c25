"""Atomic file writing: a reader finds the old file or the new one, never a part of it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path in the folder of `path`; when the block ends, it replaces `path` in one step.

    If the block raises, the temporary file is removed and `path` stays as it was. The temporary name is
    hidden, holds the process id and ends as `path` does: Keras and numpy choose the format by the suffix.
    """
    temporary = path.with_name(f".{os.getpid()}.{path.name}")
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
