"""One folder for each class: the layout of cats against dogs.

Either `train/CLASS/*.jpg`, `test/CLASS/*.jpg` and optionally `validation/CLASS/*.jpg`; or only `CLASS/*.jpg`,
and then a random, seeded part of each class becomes the test part. The classes are in the order of their
names.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from spyglass.v1.model_pb2 import InputSpec
from spyglass_contract.errors import InvalidInput, NotFound
from spyglass_training.datasets.about import read_about
from spyglass_training.datasets.assembly import TEST, TRAIN, VALIDATION, Origin, Parts, assemble
from spyglass_training.datasets.dataset import Dataset
from spyglass_training.datasets.example import Example, from_file, images_in
from spyglass_training.datasets.reading.options import DEFAULT_OPTIONS, ReadingOptions
from spyglass_training.datasets.splits import TEST_SHARE, stratified

WHERE_FROM = (
    "Expected one folder of images for each class: DIR/train/CLASS/*.jpg, DIR/validation/CLASS/*.jpg "
    "and DIR/test/CLASS/*.jpg, or only DIR/CLASS/*.jpg. Cats against dogs is Kaggle's "
    "(https://www.kaggle.com/c/dogs-vs-cats/data; for the competition and research only, do not pass "
    "it on); unpack its train.zip and cut a part of it with `spyglass dataset make-subset`"
)


def load(path: Path, spec: InputSpec, options: ReadingOptions = DEFAULT_OPTIONS) -> Dataset:
    """Read the images of every class.

    Raises NotFound if the folder does not exist, InvalidInput if it has another layout, and ImageError, with
    the names, if images cannot be read and are not to be skipped.
    """
    if not path.is_dir():
        raise NotFound(f"there is no folder {path}. {WHERE_FROM}.", reason="DATA_NOT_FOUND", field="data")
    about = read_about(path)
    roots = {part: path / part for part in (TRAIN, VALIDATION, TEST) if (path / part).is_dir()}
    class_names = _classes(roots.get(TRAIN, path))
    if TRAIN in roots:
        parts: Parts = {part: _images(root, path, class_names) for part, root in roots.items()}
    else:
        parts = _cut(_images(path, path, class_names), options.seed)
    return assemble(Origin(path, about.name, about.licence, WHERE_FROM), class_names, parts, spec, options)


def recognises(path: Path) -> bool:
    """Return whether `path` is a folder with folders in it."""
    return path.is_dir() and bool(_classes(path))


def _classes(folder: Path) -> list[str]:
    return sorted(
        member.name for member in folder.iterdir() if member.is_dir() and not member.name.startswith(".")
    )


def _images(folder: Path, root: Path, class_names: Sequence[str]) -> list[Example]:
    unknown = sorted(set(_classes(folder)) - set(class_names))
    if unknown:
        raise InvalidInput(f"{folder} has classes that {TRAIN} lacks: {', '.join(unknown)}", field="data")
    return [
        from_file(path, root, label)
        for label, name in enumerate(class_names)
        if (folder / name).is_dir()
        for path in images_in(folder / name)
    ]


def _cut(images: Sequence[Example], seed: int) -> Parts:
    train, test = stratified([image.label for image in images], TEST_SHARE, seed)
    return {TRAIN: [images[index] for index in train], TEST: [images[index] for index in test]}
