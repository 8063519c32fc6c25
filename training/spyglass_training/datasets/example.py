"""An image of a data set before it is decoded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spyglass_contract.images.folders import not_an_image


@dataclass(frozen=True)
class Example:
    """An image that is not decoded yet, with its label."""

    # For messages and for the digest of the data; independent of the data's location.
    name: str
    # Returns a whole file, or uint8 [height, width] or [height, width, channels].
    read: Callable[[], bytes | NDArray[np.uint8]]
    # Index into the class names.
    label: int = 0
    # For segmentation, in place of `label`: returns uint8 [height, width], a class index for every pixel of
    # the upright image. `outside` is the class index around the image if the network's input shows more than
    # the image.
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
    """Return an image in a file at or under `root`. A missing file is reported when it is read."""
    try:
        status = path.stat()
        changes = f"{status.st_size} {status.st_mtime_ns} {stamp}"
    except OSError:
        changes = f"missing {stamp}"
    name = path.relative_to(root).as_posix() if path.is_relative_to(root) else path.as_posix()
    return Example(name, partial(Path.read_bytes, path), label, read_mask, outside, changes)


def images_in(folder: Path) -> list[Path]:
    """Return the images directly in `folder`, sorted by name; hidden files are ignored."""
    return sorted(path for path in folder.iterdir() if not not_an_image(path.name) and path.is_file())
