"""A list of images in a file: CSV with the columns `path` and `label`, or JSON lines with those fields.

Paths are relative to the file. An optional column `part` is train, validation (or valid, val, dev) or test;
without it a random, seeded part of each class becomes the test part. Blanks around fields and the case of the
columns' names have no effect.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from spyglass.v1.model_pb2 import InputSpec
from spyglass_contract.errors import InvalidInput, NotFound
from spyglass_training.datasets.about import read_about
from spyglass_training.datasets.assembly import Origin, assemble
from spyglass_training.datasets.dataset import Dataset
from spyglass_training.datasets.example import Example, from_file
from spyglass_training.datasets.parts import PARTS, TEST, TRAIN, part_named
from spyglass_training.datasets.reading.damaged_files import reading
from spyglass_training.datasets.reading.options import DEFAULT_OPTIONS, ReadingOptions
from spyglass_training.datasets.splits import cut_test_part, cut_warning

_JSON_LINES = (".jsonl", ".ndjson")
_SUFFIXES = (".csv", *_JSON_LINES)
_COLUMNS = ("path", "label")
_LAYOUT = "A list is a .csv with the columns path and label, or a .jsonl with these fields"


class Entry(NamedTuple):
    """A line of the list."""

    path: Path
    label: str
    # Empty if the list has no parts.
    part: str


def load(path: Path, spec: InputSpec, options: ReadingOptions = DEFAULT_OPTIONS) -> Dataset:
    """Read the images of a list; the classes are its labels in order, numbers by their value.

    Raises NotFound if the list does not exist, InvalidInput if a line is invalid, and ImageError if images
    are missing or cannot be read and are not to be skipped.
    """
    if not path.is_file():
        raise NotFound(f"there is no list {path}. {_LAYOUT}.", reason="DATA_NOT_FOUND", field="data")
    entries = read_entries(path)
    class_names = sorted({entry.label for entry in entries}, key=_by_value)
    about = read_about(path.parent)
    parts, warnings = _parts(entries, class_names, path), _similar_labels(class_names)
    if not parts.get(TEST):
        images = parts.get(TRAIN, [])
        parts |= cut_test_part(images, [image.label for image in images], options.seed)
        if entries and entries[0].part:
            warnings.append(cut_warning(parts[TEST]))
    parts = {part: parts[part] for part in PARTS if part in parts}
    origin = Origin(path, about.name, about.licence, _LAYOUT)
    return assemble(origin, class_names, parts, spec, options, warnings=warnings)


def recognises(path: Path) -> bool:
    """Return whether the file's name has the suffix of a list."""
    return path.suffix.lower() in _SUFFIXES


def read_entries(path: Path) -> list[Entry]:
    """Return the lines of a list. Raises InvalidInput with the number of an invalid line."""
    with reading(path, "a list of images"), path.open(encoding="utf-8-sig", newline="") as file:
        rows = _json_rows(file) if path.suffix.lower() in _JSON_LINES else _csv_rows(file, path)
        entries = [_entry(row, path, number) for number, row in rows]
    if len({bool(entry.part) for entry in entries}) > 1:
        raise InvalidInput(f"{path} must state the part of all images or of none", field="data")
    return entries


def _csv_rows(lines: Iterable[str], path: Path) -> Iterator[tuple[int, Any]]:
    """Yield (number of the line, row). Raises InvalidInput if a row does not fit to the first line."""
    reader = csv.reader(lines)
    names = [name.strip().lower() for name in next(reader, _COLUMNS)]
    if missing := [name for name in _COLUMNS if name not in names]:
        raise InvalidInput(
            f"{path}, line 1 must name the columns path and label, separated by commas; without "
            f"{' and '.join(missing)}, found: {', '.join(names)[:100]}",
            field="data",
        )
    for fields in reader:
        # A comma inside a label needs quotation marks; without them a part of the label would be lost.
        if any(field.strip() for field in fields[len(names) :]):
            raise InvalidInput(
                f"{path}, line {reader.line_num} has {len(fields)} fields, but line 1 has {len(names)}",
                field="data",
            )
        if any(field.strip() for field in fields):
            yield reader.line_num, dict(zip(names, fields, strict=False))


def _json_rows(lines: Iterable[str]) -> Iterator[tuple[int, Any]]:
    """Yield (number of the line, row); None for a line that is not JSON."""
    for number, line in enumerate(lines, start=1):
        if line.strip():
            try:
                yield number, json.loads(line)
            except ValueError:
                yield number, None


def _entry(row: Any, path: Path, number: int) -> Entry:
    fields = (
        {name: _text(row.get(name)) for name in ("path", "label", "part")} if isinstance(row, Mapping) else {}
    )
    if not fields or not fields["path"] or not fields["label"]:
        raise InvalidInput(f"{path}, line {number}: expected a path and a label", field="data")
    part = part_named(fields["part"])
    if fields["part"] and not part:
        raise InvalidInput(
            f"{path}, line {number}: part must be one of {', '.join(PARTS)}, not {fields['part'][:100]!r}",
            field="data",
        )
    return Entry(path.parent / fields["path"], fields["label"], part or "")


def _text(value: Any) -> str:
    """Return a field without blanks around it; empty if it is missing, or neither text nor a number."""
    return str(value).strip() if isinstance(value, str | int | float) else ""


def _by_value(label: str) -> tuple[bool, int, str]:
    number = label.isdecimal()
    return not number, int(label) if number else 0, label


def _similar_labels(class_names: Sequence[str]) -> list[str]:
    """Return one sentence about each group of labels that differ in their case or blanks only."""
    groups: dict[str, list[str]] = {}
    for name in class_names:
        groups.setdefault(" ".join(name.casefold().split()), []).append(name)
    return [
        f"the labels {' and '.join(map(repr, names))} are different classes: they differ in case or blanks"
        for names in groups.values()
        if len(names) > 1
    ]


def _parts(entries: Sequence[Entry], class_names: Sequence[str], path: Path) -> dict[str, list[Example]]:
    """Return the images of each part; all are in the training part if the list has no parts."""
    index = {name: label for label, name in enumerate(class_names)}
    images = [from_file(entry.path, path.parent, index[entry.label]) for entry in entries]
    parts: dict[str, list[Example]] = {}
    for entry, image in zip(entries, images, strict=True):
        parts.setdefault(entry.part or TRAIN, []).append(image)
    return parts
