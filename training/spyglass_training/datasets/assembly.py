"""Pictures that are cut into parts become a data set."""

from __future__ import annotations

import bisect
from collections.abc import Mapping, Sequence
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

TRAIN, VALIDATION, TEST = "train", "validation", "test"

# The pictures of each part; there need not be a validation part.
Parts = Mapping[str, Sequence[Picture]]


def assemble(
    name: str,
    licence: str,
    class_names: Sequence[str],
    parts: Parts,
    spec: InputSpec,
    options: ReadingOptions,
    *,
    sha256: str = "",
) -> Dataset:
    """Decodes the parts and makes a data set of them; `sha256` is that of its file, where it is only one.

    Raises InvalidInput where a part is empty or there are fewer than two classes, and what `read_table`
    raises.
    """
    if len(class_names) < 2:
        found = ", ".join(class_names) or "none"
        raise InvalidInput(f"{name} has fewer than two classes: {found}", field="data")
    pictures = [picture for part in parts.values() for picture in part]
    table = read_table(pictures, spec, options)
    splits = _cut(pictures, parts, table)
    for part in (TRAIN, TEST):
        if part not in splits or not len(splits[part]):
            raise InvalidInput(f"{name} has no pictures in its part {part!r}", field="data")
    return Dataset(
        record=DataRecord(name, licence, sha256 or table.account.sha256),
        class_names=tuple(class_names),
        train=splits[TRAIN],
        test=splits[TEST],
        validation=splits.get(VALIDATION),
        skipped=tuple(table.account.broken),
    )


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
