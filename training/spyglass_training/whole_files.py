"""Files that appear complete or not at all, although the writing process may be killed at any moment."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path in the folder of `path`; at the end the file there replaces `path` in one step.

    If the block raises, `path` stays as it was and the temporary file is removed.
    """
    # Keras chooses the format by the suffix, so the name keeps it. Another run may write the same file now.
    temporary = path.with_name(f".{secrets.token_hex(4)}-{path.name}")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_whole(path: Path, data: bytes) -> None:
    """Write `data` to `path` as `whole_file` does."""
    with whole_file(path) as temporary:
        temporary.write_bytes(data)
