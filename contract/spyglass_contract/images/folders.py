"""The images in a folder, and why the other files are none: one rule for commands and data sets."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from spyglass_contract.images.formats import IMAGE_SUFFIXES

# What operating systems, archives and network storage leave in folders, besides names with a dot in front.
_SIDECARS = frozenset(
    ("__macosx", "thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", "@eadir", "$recycle.bin")
)

_UNREADABLE = "the folder cannot be read"
HIDDEN = "hidden, or written by the operating system"


@dataclass(frozen=True)
class FoundFile:
    """A file or folder below a folder."""

    path: Path
    # Why it is not an image; empty for an image.
    reason: str = ""

    @property
    def is_image(self) -> bool:
        """Whether the name is that of an image; the content was not read."""
        return not self.reason

    @property
    def is_unreadable(self) -> bool:
        """Whether it is a folder that cannot be read."""
        return self.reason.startswith(_UNREADABLE)


def is_hidden(name: str) -> bool:
    """Return whether the name of a file or folder is hidden, or that of a sidecar of an operating system."""
    return name.startswith(".") or name.lower() in _SIDECARS


def not_an_image(name: str) -> str:
    """Return why a file of this name is not taken for an image; empty for the name of an image."""
    if is_hidden(name):
        return HIDDEN
    suffix = os.path.splitext(name)[1].lower()
    if suffix in IMAGE_SUFFIXES:
        return ""
    return f"the suffix {suffix} is not that of an image" if suffix else "without the suffix of an image"


def files_below(folder: str | os.PathLike[str]) -> Iterator[FoundFile]:
    """Yield every file below a folder by name, first those of the folder itself, then folder by folder.

    A hidden folder and a folder that cannot be read are yielded with a reason, without their files. Links to
    folders are followed; no folder is read twice.
    """
    seen = {_identity(folder)}
    unreadable: list[FoundFile] = []

    def report(error: OSError) -> None:
        unreadable.append(FoundFile(Path(os.fsdecode(error.filename)), f"{_UNREADABLE}: {error.strerror}"))

    for parent, folders, files in os.walk(folder, onerror=report, followlinks=True):
        for name in sorted(name for name in folders if is_hidden(name)):
            yield FoundFile(Path(parent, name), HIDDEN)
        # `walk` goes on in the order of this list.
        folders[:] = [
            name for name in sorted(folders) if not is_hidden(name) and _is_new(Path(parent, name), seen)
        ]
        for name in sorted(files):
            yield FoundFile(Path(parent, name), not_an_image(name))
    yield from unreadable


def _is_new(folder: Path, seen: set[tuple[int, int]]) -> bool:
    identity = _identity(folder)
    if identity in seen:
        return False
    seen.add(identity)
    return True


def _identity(path: str | os.PathLike[str]) -> tuple[int, int]:
    """Return the device and the number of a folder, which are the same through every link to it."""
    try:
        status = os.stat(path)
    except OSError:
        # `walk` reports a folder that it cannot read.
        return 0, hash(os.fspath(path))
    return status.st_dev, status.st_ino
