"""Locks of files that the threads and processes of a machine share."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def lock_file(path: Path, *, shared: bool = False, wait: bool = True) -> int | None:
    """Lock a file, which is made if there is none, and return its descriptor; to close it unlocks it.

    Returns None if another holds it and `wait` is false. Raises OSError. The file may be deleted by who holds
    it alone: then the lock is on the file that has its place.
    """
    how = (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if wait else fcntl.LOCK_NB)
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            opened = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except FileNotFoundError:
            # Its folder was deleted meanwhile.
            continue
        try:
            fcntl.flock(opened, how)
            if _is_same(opened, path):
                return opened
        except BlockingIOError:
            os.close(opened)
            return None
        except BaseException:
            os.close(opened)
            raise
        os.close(opened)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a file alone during a block. Raises OSError."""
    opened = lock_file(path)
    assert opened is not None
    try:
        yield
    finally:
        os.close(opened)


def _is_same(opened: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(opened), path.stat())
    except FileNotFoundError:
        return False
