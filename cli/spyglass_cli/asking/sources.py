"""What the PATHs of a command line mean: the images to take, in order."""

from __future__ import annotations

import glob
import os
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from spyglass_client import ImageError, read_image
from spyglass_contract.images.formats import IMAGE_SUFFIXES

STANDARD_INPUT = "-"

# What the names of images that were written beside others have before their suffix.
HEATMAP_MARK, MASK_MARK, CUTOUT_MARK = ".heatmap", ".mask", ".cutout"
_MARKS = "|".join(map(re.escape, (HEATMAP_MARK, MASK_MARK, CUTOUT_MARK)))
_WRITTEN = re.compile(rf"({_MARKS})(-\d+)?\.\w+$")


@dataclass(frozen=True)
class Source:
    """One image by the name it is reported under, or why there is none to be had by that name."""

    path: str
    error: ImageError | None = None

    def image(self) -> str | bytes:
        """The path of the file, or all of standard input."""
        return sys.stdin.buffer.read() if self.path == STANDARD_INPUT else self.path

    def read(self) -> bytes:
        """The bytes of the image. Raises ImageError."""
        image = self.image()
        return image if isinstance(image, bytes) else read_image(image)


def find_sources(paths: Iterable[str]) -> list[Source]:
    """Files as they are, folders and globs as the images in them, by name; `-` is standard input.

    Of a folder the heatmaps and masks that were written beside its images are left out.
    What names nothing stays in the list with its error, so that no PATH is passed over in silence.
    """
    return [source for path in paths for source in _find(path)]


def _find(path: str) -> list[Source]:
    if path == STANDARD_INPUT:
        return [Source(path)]
    if os.path.isdir(path):
        return list(_in_folder(path)) or [_nothing(path, "there are no images in this folder")]
    if os.path.lexists(path) or not glob.has_magic(path):
        return [Source(path)]
    matches = sorted(glob.glob(path, recursive=True))
    return find_sources(matches) or [_nothing(path, "no file matches")]


def _in_folder(folder: str) -> Iterator[Source]:
    unreadable: list[Source] = []

    def report(error: OSError) -> None:
        unreadable.append(_nothing(str(error.filename), f"the folder cannot be read: {error.strerror}"))

    for parent, folders, files in os.walk(folder, onerror=report):
        # Sorted in place: this is the order in which `walk` goes on.
        folders.sort()
        for name in sorted(files):
            if os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES and not _WRITTEN.search(name):
                yield Source(os.path.join(parent, name))
    yield from unreadable


def _nothing(path: str, message: str) -> Source:
    return Source(path, ImageError(message, reason="IMAGE_NOT_FOUND", field="image"))
