"""The PATHs of a command line to images, in order."""

from __future__ import annotations

import glob
import os
import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from spyglass_client import ImageError, read_image
from spyglass_contract.images.folders import files_below, is_hidden

STANDARD_INPUT = "-"
_DEVICE = "/dev/stdin"

# Maximum number of reasons in the error of a folder without images.
_REASONS = 3

# The names of files that commands write beside images end in one of these, before their suffix.
HEATMAP_MARK, MASK_MARK, CUTOUT_MARK = ".heatmap", ".mask", ".cutout"
_MARKS = "|".join(map(re.escape, (HEATMAP_MARK, MASK_MARK, CUTOUT_MARK)))
_WRITTEN = re.compile(rf"({_MARKS})(-\d+)?\.\w+$")


@dataclass(frozen=True)
class Source:
    """One image by the path in the report, or the error of a path without an image."""

    path: str
    error: ImageError | None = None

    def image(self) -> str:
        """Return the path of the file, which for standard input is that of its device."""
        return _DEVICE if self.path == STANDARD_INPUT else self.path

    def read(self) -> bytes:
        """Return the bytes of the image. Raises ImageError."""
        return read_image(self.image())


def find_sources(paths: Iterable[str]) -> list[Source]:
    """Return the images of files, folders and globs, by name; `-` is standard input.

    A folder's images do not include hidden files, nor the heatmaps and masks that commands wrote there. A
    PATH without an image gives a source with an error, so that every PATH is reported.
    """
    return [source for path in paths for source in _find(path)]


def _find(path: str) -> list[Source]:
    if path == STANDARD_INPUT:
        # Python has no stream for a standard input that was closed when it started.
        return [_nothing(path, "standard input is closed") if sys.stdin is None else Source(path)]
    if os.path.isdir(path):
        return list(_in_folder(path)) or [_nothing(path, _without_images(path))]
    if os.path.lexists(path) or not glob.has_magic(path):
        return [Source(path)]
    matches = sorted(match for match in glob.glob(path, recursive=True) if not _is_sidecar(match, path))
    return find_sources(matches) or [_nothing(path, "no file matches")]


def _without_images(folder: str) -> str:
    """Return the error of a folder without images, with what it has instead."""
    reasons = Counter(file.reason for file in files_below(folder) if not file.is_image).most_common(_REASONS)
    found = ", ".join(f"{reason} ({count:,})" for reason, count in reasons)
    return f"this folder has no images{f': {found}' if found else ''}"


def _is_sidecar(match: str, pattern: str) -> bool:
    """Return whether a match of a glob is hidden, or in a hidden folder that the pattern does not name."""
    named = pattern.split(os.sep)
    return any(is_hidden(name) and name not in named for name in match.split(os.sep))


def _in_folder(folder: str) -> Iterator[Source]:
    for file in files_below(folder):
        path = os.path.join(folder, file.path.relative_to(folder))
        if file.is_image and not _WRITTEN.search(path):
            yield Source(path)
        elif file.is_unreadable:
            yield _nothing(path, file.reason)


def _nothing(path: str, message: str) -> Source:
    return Source(path, ImageError(message, reason="IMAGE_NOT_FOUND", field="image"))
