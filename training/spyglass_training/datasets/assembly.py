"""Pictures that are cut into parts become a data set."""

from __future__ import annotations

import bisect
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spyglass.v1.model_pb2 import InputSpec
from spyglass_contract.errors import InvalidInput
from spyglass_contract.run_folder import DataRecord
from spyglass_training.datasets.dataset import Dataset, Split
from spyglass_training.datasets.picture import Picture
from spyglass_training.datasets.reading import ReadingOptions
from spyglass_training.datasets.table import Table, read_table

log = logging.getLogger(__name__)

TRAIN, VALIDATION, TEST = "train", "validation", "test"

# The pictures of each part; there need not be a validation part.
Parts = Mapping[str, Sequence[Picture]]


@dataclass(frozen=True)
class Origin:
    """Where pictures come from: what the record of a run says of it, and a message about too few of them."""

    path: Path
    name: str
    licence: str
    # How such data lies, and where it is to be had: a sentence or more, without the last full stop.
    layout: str
    # Of its file, where it is only one, lower-case hexadecimal.
    sha256: str = ""


def assemble(
    origin: Origin, class_names: Sequence[str], parts: Parts, spec: InputSpec, options: ReadingOptions
) -> Dataset:
    """Decodes the parts and makes a data set of them.

    Raises InvalidInput where a part is empty, a class has no picture to train on, or there are fewer than two
    classes, and what `read_table` raises. A class without a picture to test with is warned of.
    """
    if len(class_names) < 2:
        found = ", ".join(class_names) or "none"
        raise InvalidInput(
            f"{origin.path} has fewer than two classes: {found}. {origin.layout}.", field="data"
        )
    pictures = [picture for part in parts.values() for picture in part]
    segments = any(picture.read_mask for picture in pictures)
    labels = {part: [picture.label for picture in members] for part, members in parts.items()}
    # As far as it can be known before anything is decoded.
    _check_parts(origin, labels)
    if not segments:
        _check_classes(origin, labels, class_names)
    table = read_table(pictures, spec, options)
    splits = _cut(pictures, parts, table)
    if table.account.broken:
        left = {part: split.labels for part, split in splits.items()}
        _check_parts(origin, left)
        if not segments:
            _check_classes(origin, left, class_names)
    return Dataset(
        record=DataRecord(origin.name, origin.licence, origin.sha256 or table.account.sha256),
        class_names=tuple(class_names),
        train=splits[TRAIN],
        test=splits[TEST],
        validation=splits.get(VALIDATION),
        skipped=tuple(table.account.broken),
    )


def _check_parts(origin: Origin, labels: Mapping[str, Any]) -> None:
    for part in (TRAIN, TEST):
        if part not in labels or not len(labels[part]):
            raise InvalidInput(
                f"{origin.path} has no pictures in its part {part!r}. {origin.layout}.", field="data"
            )


def _check_classes(origin: Origin, labels: Mapping[str, Iterable[Any]], class_names: Sequence[str]) -> None:
    found = {part: {int(label) for label in members} for part, members in labels.items()}
    without = {
        part: ", ".join(name for index, name in enumerate(class_names) if index not in found[part])
        for part in (TRAIN, TEST)
    }
    if without[TRAIN]:
        raise InvalidInput(f"{origin.path} has no pictures to train on of: {without[TRAIN]}", field="data")
    if without[TEST]:
        log.warning("there are no pictures to test with of: %s", without[TEST])


def _cut(pictures: Sequence[Picture], parts: Parts, table: Table) -> dict[str, Split]:
    rows = table.account.rows
    labels: NDArray[Any] = np.array([pictures[row].label for row in rows], np.int64)
    if table.masks is not None:
        labels = table.masks
    splits, given, first = {}, 0, 0
    for part, members in parts.items():
        given += len(members)
        # Slices, not lists of indices: what is in a file stays there.
        last = bisect.bisect_left(rows, given)
        splits[part] = Split(table.pixels[first:last], labels[first:last])
        first = last
    return splits
