"""When files are read again."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from spyglass_server import watched_files
from spyglass_server.watched_files import WatchedFiles

SECONDS = 0.05


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watched_files, "_COARSE_SECONDS", SECONDS)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file that was written some time ago."""
    path = tmp_path / "file"
    path.write_bytes(b"first")
    time.sleep(SECONDS)
    return path


def test_a_file_that_stays_is_read_once(path: Path) -> None:
    watched = WatchedFiles([path])
    assert watched.look()
    time.sleep(2 * SECONDS)
    assert not watched.look()


@pytest.mark.parametrize(
    "change",
    [
        lambda path: path.write_bytes(b"other"),
        lambda path: path.write_bytes(b"longer"),
        lambda path: path.chmod(0o640),
        lambda path: path.unlink(),
        lambda path: os.replace(path.with_name("new"), path),
    ],
    ids=["same size", "other size", "mode", "removed", "replaced"],
)
def test_each_change_is_seen(path: Path, change: Callable[[Path], object]) -> None:
    path.with_name("new").write_bytes(b"first")
    os.utime(path.with_name("new"), ns=(0, path.stat().st_mtime_ns))
    watched = WatchedFiles([path])
    watched.look()
    assert not watched.look()
    change(path)
    assert watched.look()


def test_a_file_that_was_just_written_is_read_again_later(path: Path) -> None:
    # It may change within the resolution of its times.
    path.write_bytes(b"other")
    watched = WatchedFiles([path])
    assert watched.look()
    assert not watched.look()
    time.sleep(SECONDS)
    assert watched.look()
    time.sleep(SECONDS)
    assert not watched.look()


def test_a_file_that_cannot_be_used_yet_is_read_again(path: Path) -> None:
    watched = WatchedFiles([path])
    watched.look()
    watched.look_again()
    assert not watched.look()
    time.sleep(SECONDS)
    assert watched.look()
