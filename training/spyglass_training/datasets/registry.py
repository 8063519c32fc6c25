"""The kinds of data sets by name, and how one is told from what it looks like."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from spyglass.v1.model_pb2 import TASK_CLASSIFY, TASK_SEGMENT, InputSpec, Task
from spyglass_contract.errors import InvalidInput, NotFound
from spyglass_training.datasets import cifar10, class_folders, elpv, listing, mnist, pets
from spyglass_training.datasets.dataset import Dataset
from spyglass_training.datasets.reading import DEFAULT_OPTIONS, ReadingOptions


@dataclass(frozen=True)
class Kind:
    """How data sets of one kind are found, told and read."""

    name: str
    # One line for people.
    summary: str
    # Raises NotFound, which says where the data comes from, where there is nothing at the path.
    load: Callable[[Path, InputSpec, ReadingOptions], Dataset]
    # Whether what lies at a path looks like it; the first kind that says so has it.
    recognises: Callable[[Path], bool]
    # Where it lies when it is asked for by its name alone.
    home: Callable[[], Path] | None = None
    # What its labels are for.
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
            "ten kinds of things in 32×32 colour: cifar-10-python.tar.gz, or its folder",
            cifar10.load,
            cifar10.recognises,
            cifar10.home,
        ),
        Kind(
            "elpv",
            "solar cells, sound and defective: an installed package",
            elpv.load,
            elpv.recognises,
            elpv.home,
        ),
        Kind(
            "pets",
            "images and trimaps, to segment: images/, annotations/trimaps/",
            pets.load,
            pets.recognises,
            task=TASK_SEGMENT,
        ),
        Kind("listing", "a .csv or .jsonl of paths and labels", listing.load, listing.recognises),
        Kind(
            "folders",
            "a folder for each class, or train/, validation/ and test/ of them",
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
    """Reads the data set at `data`, a file, a folder or the name of a kind that has a place of its own.

    Without a `kind` it is told from its looks. Every image is brought to the input that `spec` states.
    Raises NotFound where there is no such kind or no data, saying where it comes from; InvalidInput where the
    data is not of that kind, or the kind is for another than the `task` that is wanted; and ImageError, with
    their names, where images cannot be read.
    """
    path = Path(data)
    by_name = None if path.exists() else KINDS.get(str(data))
    chosen = _named(kind) if kind is not None else by_name or _recognised(path)
    if chosen is by_name and chosen.home is not None:
        path = chosen.home()
    if task not in (None, chosen.task):
        raise InvalidInput(
            f"the network is for another task than data of the kind {chosen.name!r}", field="data"
        )
    return chosen.load(path, spec, options)


def _named(kind: str) -> Kind:
    if kind not in KINDS:
        raise NotFound(
            f"no kind of data set is named {kind!r}; there are\n{listed_kinds()}", reason="UNKNOWN_DATASET"
        )
    return KINDS[kind]


def _recognised(path: Path) -> Kind:
    for kind in KINDS.values():
        if kind.recognises(path):
            return kind
    if not path.exists():
        homes = ", ".join(kind.name for kind in KINDS.values() if kind.home is not None)
        raise NotFound(
            f"there is nothing at {path}; {homes} have places of their own. The kinds are\n{listed_kinds()}",
            reason="DATA_NOT_FOUND",
            field="data",
        )
    if mnist.has_idx(path):
        raise NotFound(
            f"{path} has the IDX files of MNIST or of Fashion-MNIST, whose names are the same: say which it "
            "is with --dataset mnist or --dataset fashion-mnist",
            reason="UNKNOWN_DATASET",
            field="data",
        )
    raise NotFound(
        f"{path} is no data set that is known by its looks; name its kind with --dataset:\n{listed_kinds()}",
        reason="UNKNOWN_DATASET",
        field="data",
    )


def listed_kinds() -> str:
    """A line for each."""
    return "\n".join(f"  {kind.name}: {kind.summary}" for kind in KINDS.values())
