"""The kinds of data sets by name, and the detection of a kind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from spyglass.v1.model_pb2 import TASK_CLASSIFY, TASK_SEGMENT, InputSpec, Task
from spyglass_contract.errors import InvalidInput, NotFound
from spyglass_training.datasets.dataset import Dataset
from spyglass_training.datasets.formats import cifar10, class_folders, elpv, listing, mnist, pets
from spyglass_training.datasets.reading.options import DEFAULT_OPTIONS, ReadingOptions


@dataclass(frozen=True)
class Kind:
    """The functions that detect, find and read data sets of one kind."""

    name: str
    # One line that describes the kind.
    summary: str
    # Raises NotFound, with the source of the data, if the path does not exist.
    load: Callable[[Path, InputSpec, ReadingOptions], Dataset]
    # Returns whether the data at a path looks like this kind; the first kind that returns True is chosen.
    recognises: Callable[[Path], bool]
    # Location of the data if the caller gives only the kind's name.
    home: Callable[[], Path] | None = None
    # Task of its labels.
    task: Task.ValueType = TASK_CLASSIFY


KINDS = {
    kind.name: kind
    for kind in (
        Kind(
            "mnist",
            "handwritten digits: mnist.npz, or a folder of IDX files",
            mnist.load,
            mnist.recognises,
            partial(mnist.home, mnist.MNIST),
        ),
        Kind(
            "fashion-mnist",
            "articles of clothing: a folder of IDX files",
            mnist.load_fashion,
            mnist.recognises_fashion,
            partial(mnist.home, mnist.FASHION),
        ),
        Kind(
            "cifar10",
            "colour images of ten classes, 32×32: cifar-10-python.tar.gz, or its folder",
            cifar10.load,
            cifar10.recognises,
            cifar10.home,
        ),
        Kind(
            "elpv",
            "solar cells, functional and defective: an installed package",
            elpv.load,
            elpv.recognises,
            elpv.home,
        ),
        Kind(
            "pets",
            "images and trimaps, for segmentation: images/, annotations/trimaps/",
            pets.load,
            pets.recognises,
            task=TASK_SEGMENT,
        ),
        Kind("listing", "a .csv or .jsonl file of paths and labels", listing.load, listing.recognises),
        Kind(
            "folders",
            "one folder for each class, alone or in train/, validation/ and test/",
            class_folders.load,
            class_folders.recognises,
        ),
    )
}


def open_dataset(
    kind: str | None,
    data: str | Path,
    spec: InputSpec,
    options: ReadingOptions = DEFAULT_OPTIONS,
    *,
    task: Task.ValueType | None = None,
) -> Dataset:
    """Read the data set at `data`: a file, a folder, or the name of a kind that has a home.

    Without `kind` the kind is detected. Every image is converted to the input of `spec`. Raises NotFound if
    the kind or the data does not exist; InvalidInput if the data is of another kind, or the kind is for
    another task than `task`; and ImageError, with the names, if images cannot be read.
    """
    path = Path(data)
    by_name = None if path.exists() else KINDS.get(str(data))
    chosen = _named(kind) if kind is not None else by_name or _recognised(path)
    if chosen is by_name and chosen.home is not None:
        path = chosen.home()
    if task not in (None, chosen.task):
        raise InvalidInput(
            f"the network is for another task than a data set of the kind {chosen.name!r}", field="data"
        )
    return chosen.load(path, spec, options)


def _named(kind: str) -> Kind:
    if kind not in KINDS:
        raise NotFound(
            f"there is no kind of data set {kind!r}; the kinds are\n{listed_kinds()}",
            reason="UNKNOWN_DATASET",
        )
    return KINDS[kind]


def _recognised(path: Path) -> Kind:
    for kind in KINDS.values():
        if kind.recognises(path):
            return kind
    if not path.exists():
        homes = ", ".join(kind.name for kind in KINDS.values() if kind.home is not None)
        raise NotFound(
            f"{path} does not exist; pass a path or one of {homes}. The kinds are\n{listed_kinds()}",
            reason="DATA_NOT_FOUND",
            field="data",
        )
    if mnist.has_idx(path):
        raise NotFound(
            f"{path} has the IDX files of MNIST or of Fashion-MNIST, whose names are the same; "
            "pass --dataset mnist or --dataset fashion-mnist",
            reason="UNKNOWN_DATASET",
            field="data",
        )
    raise NotFound(
        f"cannot tell the kind of data set of {path}; pass --dataset. The kinds are\n{listed_kinds()}",
        reason="UNKNOWN_DATASET",
        field="data",
    )


def listed_kinds() -> str:
    """Return one line for each kind."""
    return "\n".join(f"  {kind.name}: {kind.summary}" for kind in KINDS.values())
