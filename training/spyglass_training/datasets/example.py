"""An image of a data set that is still to be decoded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spyglass_contract.images.formats import IMAGE_SUFFIXES


@dataclass(frozen=True)
class Example:
    """How to read an image, and what it shows."""

    # For people, and for the digest of the data: it does not depend on where the data lies.
    name: str
    # A whole file, or uint8 [height, width] or [height, width, channels].
    read: Callable[[], bytes | NDArray[np.uint8]]
    # An index into the class names.
    label: int = 0
    # To segment, instead of `label`: uint8 [height, width], such an index for every pixel of the upright
    # image, and the index of what lies around it where the network's input shows more than the image.
    read_mask: Callable[[], NDArray[np.uint8]] | None = None
    outside: int = 0
    # Changes when the image does.
    stamp: str = ""


def from_file(
    path: Path,
    root: Path,
    label: int = 0,
    *,
    read_mask: Callable[[], NDArray[np.uint8]] | None = None,
    outside: int = 0,
    stamp: str = "",
) -> Example:
    """An image in a file at or under `root`; one that is missing is found out when it is read."""
    try:
        status = path.stat()
        changes = f"{status.st_size} {status.st_mtime_ns} {stamp}"
    except OSError:
        changes = f"missing {stamp}"
    name = path.relative_to(root).as_posix() if path.is_relative_to(root) else path.as_posix()
    return Example(name, partial(Path.read_bytes, path), label, read_mask, outside, changes)


def images_in(folder: Path) -> list[Path]:
    """The images that lie in `folder` itself, by name; hidden files are none."""
    return sorted(
        path
        for path in folder.iterdir()
        if path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".") and path.is_file()
    )
