"""The last step of reading: decode images that are assigned to parts, and make a data set."""

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
from spyglass_contract.model.run_folder import DataRecord, LeftOut
from spyglass_training.datasets.dataset import Dataset, Split
from spyglass_training.datasets.duplicates import duplicate_warnings
from spyglass_training.datasets.example import Example
from spyglass_training.datasets.omissions import left_out_lines
from spyglass_training.datasets.parts import TEST, TRAIN, VALIDATION
from spyglass_training.datasets.reading.options import ReadingOptions
from spyglass_training.datasets.reading.table import Table, read_table

log = logging.getLogger(__name__)

# The images of each part. The validation part is optional.
Parts = Mapping[str, Sequence[Example]]


@dataclass(frozen=True)
class Origin:
    """The source of images, for the record of a run and for messages about missing images."""

    path: Path
    name: str
    licence: str
    # The expected layout and the source of such data: one or more sentences, without the last full stop.
    layout: str
    # SHA-256 of the file, lower-case hexadecimal, if the data is a single file.
    sha256: str = ""


def assemble(
    origin: Origin,
    class_names: Sequence[str],
    parts: Parts,
    spec: InputSpec,
    options: ReadingOptions,
    *,
    left_out: Sequence[LeftOut] = (),
    warnings: Sequence[str] = (),
) -> Dataset:
    """Decode the parts and make a data set of them.

    Logs what is left out, `warnings`, images in two parts or under two labels, and classes without test
    images. Raises InvalidInput if a part is empty, if a class has no training image, or if there are fewer
    than two classes; and the errors of `read_table`.
    """
    # Before the checks: that all images are left out is often the reason for what they find.
    for line in left_out_lines(left_out):
        log.warning("%s", line)
    if len(class_names) < 2:
        found = ", ".join(class_names) or "none"
        raise InvalidInput(
            f"{origin.path} has fewer than two classes: {found}. {origin.layout}.", field="data"
        )
    images = [image for part in parts.values() for image in part]
    segments = any(image.read_mask for image in images)
    labels = {part: [image.label for image in members] for part, members in parts.items()}
    # Check first what needs no decoding.
    _check_parts(origin, labels)
    if not segments:
        _check_classes(origin, labels, class_names)
    table = read_table(images, spec, options)
    splits = _cut(images, parts, table)
    if table.account.broken:
        left = {part: split.labels for part, split in splits.items()}
        _check_parts(origin, left)
        if not segments:
            _check_classes(origin, left, class_names)
    warnings = [*warnings, *duplicate_warnings(parts, class_names, table.account.repeated)]
    for line in warnings:
        log.warning("%s", line)
    return Dataset(
        record=DataRecord(origin.name, origin.licence, origin.sha256 or table.account.sha256),
        class_names=tuple(class_names),
        train=splits[TRAIN],
        test=splits[TEST],
        validation=splits.get(VALIDATION),
        skipped=tuple(table.account.broken),
        left_out=(*left_out, *_unreadable(table.account.broken)),
        warnings=tuple(warnings),
    )


def _unreadable(broken: Sequence[str]) -> list[LeftOut]:
    """Return the entry of images that cannot be read, which are already logged."""
    return [LeftOut("cannot be read", len(broken), tuple(broken[:3]))] if broken else []


def _check_parts(origin: Origin, labels: Mapping[str, Any]) -> None:
    for part in (TRAIN, TEST):
        if part not in labels or not len(labels[part]):
            raise InvalidInput(
                f"{origin.path} has no images in the part {part!r}. {origin.layout}.", field="data"
            )


def _check_classes(origin: Origin, labels: Mapping[str, Iterable[Any]], class_names: Sequence[str]) -> None:
    found = {part: {int(label) for label in members} for part, members in labels.items()}
    without = {
        part: ", ".join(name for index, name in enumerate(class_names) if index not in found[part])
        for part in (TRAIN, TEST)
    }
    if without[TRAIN]:
        raise InvalidInput(f"{origin.path} has no training images of: {without[TRAIN]}", field="data")
    if without[TEST]:
        log.warning("there are no test images of: %s", without[TEST])


def _cut(images: Sequence[Example], parts: Parts, table: Table) -> dict[str, Split]:
    rows = table.account.rows
    labels: NDArray[Any] = np.array([images[row].label for row in rows], np.int64)
    if table.masks is not None:
        labels = table.masks
    splits, given, first = {}, 0, 0
    for part, members in parts.items():
        given += len(members)
        # Slices, not lists of indices, so that memory-mapped arrays stay in their files.
        last = bisect.bisect_left(rows, given)
        splits[part] = Split(table.pixels[first:last], labels[first:last])
        first = last
    return splits
