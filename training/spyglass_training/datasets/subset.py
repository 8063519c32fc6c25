"""A small part of a large collection: a number of images of each class for each part.

F. Chollet, Deep Learning with Python, second edition (2021), section 8.2.2: of Kaggle's cats and dogs,
numbers 0 to 999 of each for training, 1000 to 1499 for validation, 1500 to 2499 for testing.
"""

from __future__ import annotations

import logging
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from spyglass_contract.errors import InvalidInput, NotFound
from spyglass_contract.images.folders import is_hidden
from spyglass_training.datasets.about import FILE_NAME
from spyglass_training.datasets.example import images_in
from spyglass_training.datasets.formats.class_folders import WHERE_FROM
from spyglass_training.datasets.new_folder import check_new
from spyglass_training.datasets.omissions import Omissions, images_below, left_out_lines

log = logging.getLogger(__name__)

# The class and number of an image, as in `cat.123.jpg`.
_NUMBERED = re.compile(r"(?P<label>.+)\.(?P<number>\d+)")


def make_subset(source: Path, target: Path, sizes: Mapping[str, int]) -> dict[str, int]:
    """Copy images to `target/PART/CLASS/`; return how many images each part has.

    The images lie in `source` as CLASS.NUMBER.jpg or as CLASS/*.jpg. `sizes` has the number of images of each
    class for each part. The parts take the images in the order of their numbers, one part after the other.

    Raises NotFound if the folder does not exist. Raises InvalidInput if a class has too few images, if
    `target` is not empty, or if `target` lies in `source`, where it would be read as a class.
    """
    if not source.is_dir():
        raise NotFound(f"there is no folder {source}. {WHERE_FROM}.", reason="DATA_NOT_FOUND", field="source")
    omissions = Omissions(source)
    classes = _classes(source, omissions)
    for line in left_out_lines(omissions.entries()):
        log.warning("%s", line)
    _check(source, target, classes, sum(sizes.values()))
    for label, images in classes.items():
        first = 0
        for part, size in sizes.items():
            _copy(images[first : first + size], source, target / part / label)
            first += size
    if (source / FILE_NAME).exists():
        shutil.copyfile(source / FILE_NAME, target / FILE_NAME)
    return {part: size * len(classes) for part, size in sizes.items()}


def _classes(source: Path, omissions: Omissions) -> dict[str, list[Path]]:
    """Return the images of every class, in order."""
    numbered: dict[str, list[tuple[int, Path]]] = {}
    for path in images_in(source):
        if match := _NUMBERED.fullmatch(path.stem):
            numbered.setdefault(match["label"], []).append((int(match["number"]), path))
    if numbered:
        return {label: [path for _, path in sorted(numbered[label])] for label in sorted(numbered)}
    folders = sorted(path for path in source.iterdir() if path.is_dir() and not is_hidden(path.name))
    return {folder.name: sorted(images_below(folder, omissions), key=_by_number) for folder in folders}


def _by_number(path: Path) -> tuple[int, str]:
    digits = re.findall(r"\d+", path.stem)
    return int(digits[-1]) if digits else 0, path.name


def _check(source: Path, target: Path, classes: Mapping[str, Sequence[Path]], required: int) -> None:
    if len(classes) < 2:
        raise InvalidInput(f"{source} has fewer than two classes. {WHERE_FROM}.", field="source")
    for label, images in classes.items():
        if len(images) < required:
            raise InvalidInput(
                f"class {label!r} must have at least {required:,} images, not {len(images):,}", field="source"
            )
    check_new(target, source)


def _copy(images: Sequence[Path], source: Path, folder: Path) -> None:
    """Copy images into `folder`; an image of a sub-folder of its class stays in a sub-folder of this name."""
    folder.mkdir(parents=True)
    for path in images:
        inside = (
            path.relative_to(source / folder.name) if path.is_relative_to(source / folder.name) else path.name
        )
        (folder / inside).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, folder / inside)
