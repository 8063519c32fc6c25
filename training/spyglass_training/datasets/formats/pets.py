"""Images and trimaps in the layout of Oxford-IIIT Pet, to segment foreground and background.

`images/NAME.jpg`, or with another suffix of an image, and `annotations/trimaps/NAME.png`, whose pixels are 1
in the foreground, 2 in the background and 3 along the contour. Lists in `annotations/` assign the images to
parts: `trainval.txt` and `test.txt`, as in the original, or `train.txt`, `validation.txt` (or `valid.txt`,
`val.txt`, `dev.txt`) and `test.txt`. Each line starts with a name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from spyglass.v1.model_pb2 import InputSpec
from spyglass_contract.errors import ImageError, NotFound
from spyglass_contract.images.folders import is_hidden
from spyglass_contract.images.header import Limits, open_header
from spyglass_training.datasets.about import FILE_NAME, About, read_about
from spyglass_training.datasets.assembly import Origin, assemble
from spyglass_training.datasets.dataset import Dataset
from spyglass_training.datasets.example import Example, from_file
from spyglass_training.datasets.omissions import Omissions, images_below
from spyglass_training.datasets.parts import PARTS, TEST, TRAIN, part_named
from spyglass_training.datasets.reading.damaged_files import reading
from spyglass_training.datasets.reading.options import DEFAULT_OPTIONS, ReadingOptions
from spyglass_training.datasets.splits import cut_test_part, cut_warning

# Class names in the order of the trimap's values, which start at 1.
CLASS_NAMES = ("foreground", "background", "contour")
FOREGROUND, BACKGROUND, CONTOUR = 1, 2, 3

OXFORD = About("Oxford-IIIT Pet", "CC BY-SA 4.0")

# The training list of the original, for training and validation; a list of a training part replaces it.
_TRAINVAL = "trainval"
_WHERE_FROM = (
    "Expected the layout of Oxford-IIIT Pet: DIR/images/*.jpg, DIR/annotations/trimaps/*.png. The data (O. "
    "Parkhi et al.; CC BY-SA 4.0) is at https://www.robots.ox.ac.uk/~vgg/data/pets: unpack images.tar.gz and "
    "annotations.tar.gz into one folder and pass it with --data. `spyglass dataset compose` makes such a "
    "folder of cut-outs and backgrounds"
)


def load(path: Path, spec: InputSpec, options: ReadingOptions = DEFAULT_OPTIONS) -> Dataset:
    """Read images and masks; the labels are uint8 [count, height, width], the trimap's values minus 1.

    The area of the input outside the image counts as background. Raises NotFound if the folder does not
    exist, and ImageError if an image or its trimap cannot be read and is not to be skipped.
    """
    if not recognises(path):
        raise NotFound(
            f"{path} has no images and trimaps. {_WHERE_FROM}.", reason="DATA_NOT_FOUND", field="data"
        )
    about = read_about(path) if (path / FILE_NAME).exists() else OXFORD
    omissions = Omissions(path)
    files = _named_images(path / "images", omissions)
    listed = _listed(path)
    has_lists, named = bool(listed), {name for members in listed.values() for name in members}
    for name, image in files.items():
        if has_lists and name not in named:
            omissions.add("in no list of annotations", image)
        elif not has_lists and not _trimap(path, name).exists():
            omissions.add("without a trimap", image)
    warnings = []
    if not listed:
        listed = {TRAIN: [name for name in files if _trimap(path, name).exists()]}
    if not listed.get(TEST):
        names = listed.get(TRAIN, [])
        cut = cut_test_part(names, [0] * len(names), options.seed)
        if has_lists:
            warnings.append(cut_warning(cut[TEST]))
        listed |= cut
    return assemble(
        Origin(path, about.name, about.licence, _WHERE_FROM),
        CLASS_NAMES,
        {part: _images(path, listed[part], files) for part in PARTS if part in listed},
        spec,
        options,
        left_out=omissions.entries(),
        warnings=warnings,
    )


def recognises(path: Path) -> bool:
    """Return whether `path` is a folder with images and trimaps."""
    return (path / "images").is_dir() and (path / "annotations" / "trimaps").is_dir()


def read_trimap(path: Path) -> NDArray[np.uint8]:
    """Return a trimap as uint8 [height, width], indices into the class names. Raises ImageError."""
    try:
        trimap = np.asarray(_open(path.read_bytes()))
    except OSError as error:
        raise ImageError(f"cannot read its trimap: {error}") from error
    if trimap.ndim != 2 or trimap.min() < FOREGROUND or trimap.max() > CONTOUR:
        raise ImageError("its trimap must have only the values 1, 2 and 3")
    return trimap.astype(np.uint8) - 1


def _open(data: bytes) -> Image.Image:
    """Open without conversion or rotation, because the values are class numbers. The image limits apply."""
    image = open_header(data, Limits())
    image.load()
    return image


def _named_images(folder: Path, omissions: Omissions) -> dict[str, Path]:
    """Return the images by their names: paths in `folder` without suffix."""
    files: dict[str, Path] = {}
    for image in images_below(folder, omissions):
        first = files.setdefault(image.relative_to(folder).with_suffix("").as_posix(), image)
        if first != image:
            omissions.add("another image has the same name before the suffix", image)
    return files


def _listed(root: Path) -> dict[str, list[str]]:
    """Return the names in the list of each part, in the order of the parts; empty if there are no lists."""
    found: dict[str, list[str]] = {}
    for file in sorted((root / "annotations").glob("*.txt")):
        part = part_named(file.stem)
        if part and not is_hidden(file.name):
            found.setdefault(part, []).extend(_names(file))
    trainval = root / "annotations" / f"{_TRAINVAL}.txt"
    if TRAIN not in found and trainval.exists():
        found[TRAIN] = _names(trainval)
    return {part: found[part] for part in PARTS if part in found}


def _trimap(root: Path, name: str) -> Path:
    return root / "annotations" / "trimaps" / f"{name}.png"


def _names(file: Path) -> list[str]:
    with reading(file, "a list of names"):
        lines = file.read_text(encoding="utf-8").splitlines()
    return [line.split()[0] for line in lines if line.strip() and not line.startswith("#")]


def _images(root: Path, names: Sequence[str], files: Mapping[str, Path]) -> list[Example]:
    """Return the named images; `files` has the image of each name."""
    trimaps = (_trimap(root, name) for name in names)
    return [
        from_file(
            files.get(name, root / "images" / f"{name}.jpg"),
            root,
            read_mask=partial(read_trimap, trimap),
            outside=BACKGROUND - 1,
            stamp=str(trimap.stat().st_mtime_ns) if trimap.exists() else "",
        )
        for name, trimap in zip(names, trimaps, strict=True)
    ]
