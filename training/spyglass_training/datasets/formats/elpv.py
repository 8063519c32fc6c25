"""ELPV: 2,624 grey photographs, 300×300, of solar cells by electroluminescence, functional and defective.

S. Deitsch et al., Automatic classification of defective photovoltaic module cells in electroluminescence
images, Solar Energy 185 (2019). Experts gave each cell a probability of being defective: 0, 1/3, 2/3 or 1.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import NamedTuple

from spyglass.v1.model_pb2 import InputSpec
from spyglass_contract.errors import InvalidInput, NotFound
from spyglass_training.datasets.assembly import Origin, assemble
from spyglass_training.datasets.dataset import Dataset
from spyglass_training.datasets.example import from_file
from spyglass_training.datasets.parts import TEST, TRAIN
from spyglass_training.datasets.reading.damaged_files import reading
from spyglass_training.datasets.reading.options import DEFAULT_OPTIONS, ReadingOptions
from spyglass_training.datasets.splits import stratified

NAME = "ELPV"
LICENCE = "CC BY-NC-SA 4.0"
CLASS_NAMES = ("functional", "defective")
# As in the paper: a cell is defective above this probability, and a quarter of the cells is for testing.
DEFECTIVE_ABOVE = 0.5
TEST_SHARE = 0.25

_PACKAGE = "elpv_dataset"
_LABELS = "labels.csv"
_WHERE_FROM = (
    "ELPV (S. Deitsch et al.; CC BY-NC-SA 4.0: not for commercial use) comes in a package of 91 MB: "
    "pip install elpv-dataset, then pass --data elpv; or clone https://github.com/zae-bayern/elpv-dataset "
    "and pass its folder with labels.csv"
)


class Cell(NamedTuple):
    """A line of `labels.csv`."""

    path: str
    # 0 to 1.
    probability: float
    # `mono` or `poly`: one silicon crystal or many.
    cell_type: str


def load(path: Path, spec: InputSpec, options: ReadingOptions = DEFAULT_OPTIONS) -> Dataset:
    """Read the folder with `labels.csv`, and cut off a test part stratified by label and cell type.

    Raises NotFound if the folder does not exist, InvalidInput if `labels.csv` is invalid, and ImageError if
    images cannot be read and are not to be skipped.
    """
    if not (path / _LABELS).is_file():
        raise NotFound(f"there is no {path / _LABELS}. {_WHERE_FROM}.", reason="DATA_NOT_FOUND", field="data")
    cells = read_cells(path / _LABELS)
    labels = [int(cell.probability > DEFECTIVE_ABOVE) for cell in cells]
    groups = [(label, cell.cell_type) for label, cell in zip(labels, cells, strict=True)]
    images = [from_file(path / cell.path, path, label) for cell, label in zip(cells, labels, strict=True)]
    train, test = stratified(groups, TEST_SHARE, options.seed)
    parts = {TRAIN: [images[index] for index in train], TEST: [images[index] for index in test]}
    return assemble(Origin(path, NAME, LICENCE, _WHERE_FROM), CLASS_NAMES, parts, spec, options)


def home() -> Path:
    """Return the data in the installed package. Raises NotFound, which says how to install it."""
    package = importlib.util.find_spec(_PACKAGE)
    if package is None or package.origin is None:
        raise NotFound(f"ELPV is not installed. {_WHERE_FROM}.", reason="DATA_NOT_FOUND", field="data")
    return Path(package.origin).parent / "data"


def recognises(path: Path) -> bool:
    """Return whether `path` is a folder with the list and the images."""
    return (path / _LABELS).is_file() and (path / "images").is_dir()


def read_cells(path: Path) -> list[Cell]:
    """Return the lines of `labels.csv`, whose columns are separated by blanks. Raises InvalidInput."""
    cells = []
    with reading(path, "the list of ELPV"):
        lines = path.read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines, start=1):
        try:
            name, probability, cell_type = line.split()
            cells.append(Cell(name, float(probability), cell_type))
        except ValueError as error:
            raise InvalidInput(f"{path}, line {number}: {error}", field="data") from error
    return cells
