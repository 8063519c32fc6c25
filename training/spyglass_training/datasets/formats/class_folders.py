"""One folder for each class: the layout of cats against dogs.

Either `train/CLASS/*.jpg`, and optionally `validation/CLASS/*.jpg` and `test/CLASS/*.jpg`; or only
`CLASS/*.jpg`. Without a test part, a random, seeded part of each class becomes the test part. Images in
sub-folders of a class belong to the class. The classes are in the order of their names.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from spyglass.v1.model_pb2 import InputSpec
from spyglass_contract.errors import InvalidInput, NotFound
from spyglass_contract.images.folders import is_hidden, not_an_image
from spyglass_training.datasets.about import FILE_NAME, read_about
from spyglass_training.datasets.assembly import Origin, assemble
from spyglass_training.datasets.dataset import Dataset
from spyglass_training.datasets.example import Example, from_file
from spyglass_training.datasets.omissions import Omissions, images_below
from spyglass_training.datasets.parts import PARTS, TEST, TRAIN, part_named
from spyglass_training.datasets.reading.options import DEFAULT_OPTIONS, ReadingOptions
from spyglass_training.datasets.splits import cut_test_part, cut_warning

WHERE_FROM = (
    "Expected one folder of images for each class: DIR/train/CLASS/*.jpg, DIR/validation/CLASS/*.jpg "
    "and DIR/test/CLASS/*.jpg, or only DIR/CLASS/*.jpg. Cats against dogs is Kaggle's "
    "(https://www.kaggle.com/c/dogs-vs-cats/data; for the competition and research only, do not pass "
    "it on); unpack its train.zip and cut a part of it with `spyglass dataset make-subset`"
)
_NO_CLASS = "not in the folder of a class"

# The folders of each part: data may have both `val` and `valid`.
Roots = Mapping[str, Sequence[Path]]


def load(path: Path, spec: InputSpec, options: ReadingOptions = DEFAULT_OPTIONS) -> Dataset:
    """Read the images of every class.

    Raises NotFound if the folder does not exist, InvalidInput if it has another layout, and ImageError, with
    the names, if images cannot be read and are not to be skipped.
    """
    if not path.is_dir():
        raise NotFound(f"there is no folder {path}. {WHERE_FROM}.", reason="DATA_NOT_FOUND", field="data")
    about = read_about(path)
    omissions = Omissions(path)
    roots = _part_folders(path)
    class_names = sorted({name for root in roots.get(TRAIN, [path]) for name in _class_folders(root)})
    parts = {
        part: [image for root in folders for image in _images(root, path, class_names, omissions)]
        for part, folders in (roots or {TRAIN: [path]}).items()
    }
    _count_unused_folders(path, roots, omissions)
    warnings = []
    if not parts.get(TEST):
        images = parts[TRAIN]
        parts.update(cut_test_part(images, [image.label for image in images], options.seed))
        if roots:
            warnings.append(cut_warning(parts[TEST]))
    return assemble(
        Origin(path, about.name, about.licence, WHERE_FROM),
        class_names,
        {part: parts[part] for part in PARTS if parts.get(part)},
        spec,
        options,
        left_out=omissions.entries(),
        warnings=warnings,
    )


def recognises(path: Path) -> bool:
    """Return whether `path` is a folder with folders in it."""
    return path.is_dir() and bool(_class_folders(path))


def _class_folders(folder: Path) -> list[str]:
    return sorted(
        member.name for member in folder.iterdir() if member.is_dir() and not is_hidden(member.name)
    )


def _part_folders(path: Path) -> Roots:
    """Return the folders of each part; none if the folders of `path` are classes.

    A folder `train` without sub-folders is a class, such as the vehicle. Raises InvalidInput if there are
    parts but no training part, if folders of classes are named like parts, and if they have parts in them.
    """
    roots: dict[str, list[Path]] = {}
    for name in _class_folders(path):
        part = part_named(name)
        if part and _class_folders(path / name):
            roots.setdefault(part, []).append(path / name)
    if roots and TRAIN not in roots:
        found = ", ".join(folder.name for folders in roots.values() for folder in folders)
        raise InvalidInput(
            f"{path} has the parts {found}, but no folder {TRAIN}. {WHERE_FROM}.", field="data"
        )
    names = _class_folders(path)
    if names and not roots and all(part_named(name) for name in names):
        raise InvalidInput(
            f"{path} has no folders of classes in {', '.join(names)}. {WHERE_FROM}.", field="data"
        )
    similar = {name: _similar_part(name) for name in names if not roots and _class_folders(path / name)}
    if len(set(filter(None, similar.values()))) > 1:
        found = ", ".join(name for name, part in similar.items() if part)
        raise InvalidInput(
            f"{path} has folders that look like parts: {found}; name them train, validation and test. "
            f"{WHERE_FROM}.",
            field="data",
        )
    for root in roots.get(TRAIN, [path]):
        for name in _class_folders(root):
            inside = [inner for inner in _class_folders(root / name) if part_named(inner)]
            if inside and not part_named(name):
                raise InvalidInput(
                    f"{root / name} has the folders of parts in it: {', '.join(inside)}. {WHERE_FROM}.",
                    field="data",
                )
    return roots


def _similar_part(name: str) -> str | None:
    """Return the part that a word of a name means, such as TRAIN for `training_set` and `train2017`."""
    words = re.findall(r"[a-z]+", name.lower())
    words += [word.removesuffix(ending) for word in words for ending in ("set", "data", "images")]
    return next(filter(None, map(part_named, words)), None)


def _images(folder: Path, root: Path, class_names: Sequence[str], omissions: Omissions) -> list[Example]:
    """Return the images of the classes in `folder`, and count the other files beside their folders."""
    unknown = sorted(set(_class_folders(folder)) - set(class_names))
    if unknown:
        raise InvalidInput(f"{folder} has classes that {TRAIN} lacks: {', '.join(unknown)}", field="data")
    for member in sorted(folder.iterdir()):
        if is_hidden(member.name) or (not member.is_dir() and member != root / FILE_NAME):
            omissions.add(not_an_image(member.name) or _NO_CLASS, member)
    return [
        from_file(path, root, label)
        for label, name in enumerate(class_names)
        if (folder / name).is_dir()
        for path in images_below(folder / name, omissions)
    ]


def _count_unused_folders(path: Path, roots: Roots, omissions: Omissions) -> None:
    """Count the images beside and outside the folders of the parts."""
    if not roots:
        return
    used = {folder for folders in roots.values() for folder in folders}
    for member in sorted(path.iterdir()):
        if is_hidden(member.name) or (member.is_file() and member.name != FILE_NAME):
            omissions.add(not_an_image(member.name) or _NO_CLASS, member)
        elif member.is_dir() and member not in used:
            count = len(images_below(member))
            if count:
                reason = _NO_CLASS if part_named(member.name) else "in a folder that is no part"
                omissions.add(reason, member, count)
