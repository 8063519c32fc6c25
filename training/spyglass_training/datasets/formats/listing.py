"""A list of images in a file: CSV with the columns `path` and `label`, or JSON lines with those fields.

Paths are relative to the file. An optional column `part` is train, validation or test; without it a random,
seeded part of each class becomes the test part.
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
from spyglass_training.datasets.assembly import TEST, TRAIN, VALIDATION, Origin, Parts, assemble
from spyglass_training.datasets.dataset import Dataset
from spyglass_training.datasets.example import from_file
from spyglass_training.datasets.reading.damaged_files import reading
from spyglass_training.datasets.reading.options import DEFAULT_OPTIONS, ReadingOptions
from spyglass_training.datasets.splits import TEST_SHARE, stratified

_JSON_LINES = (".jsonl", ".ndjson")
_SUFFIXES = (".csv", *_JSON_LINES)
_PARTS = (TRAIN, VALIDATION, TEST)
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
    parts = _parts(entries, class_names, path, options.seed)
    return assemble(Origin(path, about.name, about.licence, _LAYOUT), class_names, parts, spec, options)


def recognises(path: Path) -> bool:
    """Return whether the file's name has the suffix of a list."""
    return path.suffix.lower() in _SUFFIXES


def read_entries(path: Path) -> list[Entry]:
    """Return the lines of a list. Raises InvalidInput with the number of an invalid line."""
    with reading(path, "a list of images"), path.open(encoding="utf-8-sig", newline="") as file:
        rows = _json_rows(file) if path.suffix.lower() in _JSON_LINES else _csv_rows(file)
        entries = [_entry(row, path, number) for number, row in rows]
    if len({bool(entry.part) for entry in entries}) > 1:
        raise InvalidInput(f"{path} must state the part of all images or of none", field="data")
    return entries


def _csv_rows(lines: Iterable[str]) -> Iterator[tuple[int, Any]]:
    """Yield (number of the line, row)."""
    reader = csv.DictReader(lines)
    for row in reader:
        yield reader.line_num, row


def _json_rows(lines: Iterable[str]) -> Iterator[tuple[int, Any]]:
    """Yield (number of the line, row); None for a line that is not JSON."""
    for number, line in enumerate(lines, start=1):
        if line.strip():
            try:
                yield number, json.loads(line)
            except ValueError:
                yield number, None


def _entry(row: Any, path: Path, number: int) -> Entry:
    if not isinstance(row, Mapping) or not row.get("path") or row.get("label") in (None, ""):
        raise InvalidInput(f"{path}, line {number}: expected a path and a label", field="data")
    part = row.get("part") or ""
    if part not in ("", *_PARTS):
        raise InvalidInput(
            f"{path}, line {number}: part must be one of {', '.join(_PARTS)}, not {part!r}", field="data"
        )
    return Entry(path.parent / str(row["path"]), str(row["label"]), part)


def _by_value(label: str) -> tuple[bool, int, str]:
    number = label.isdecimal()
    return not number, int(label) if number else 0, label


def _parts(entries: Sequence[Entry], class_names: Sequence[str], path: Path, seed: int) -> Parts:
    index = {name: label for label, name in enumerate(class_names)}
    images = [from_file(entry.path, path.parent, index[entry.label]) for entry in entries]
    if entries and entries[0].part:
        parts = [entry.part for entry in entries]
        return {
            name: [image for image, part in zip(images, parts, strict=True) if part == name]
            for name in _PARTS
            if name in parts
        }
    train, test = stratified([image.label for image in images], TEST_SHARE, seed)
    return {TRAIN: [images[each] for each in train], TEST: [images[each] for each in test]}
