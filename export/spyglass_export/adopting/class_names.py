"""Class names from a file: one name a line, or the JSON that other tools write."""

from __future__ import annotations

import codecs
import json
from pathlib import Path
from typing import Any

from spyglass_contract.errors import InvalidInput

# More than a million names.
MOST_BYTES = 32 * 1024 * 1024

_FORMS = (
    "a list of names, an object from index to name or from name to index, or a config.json of Hugging Face "
    "with id2label"
)


def read_class_names(file: Path) -> list[str]:
    """Return the class names in the order of the network's outputs.

    A text has one name a line; empty lines at its end are ignored. JSON is a list of names, an object from
    index to name (or to a list whose last entry is the name) or from name to index, or a config.json of
    Hugging Face. Raises InvalidInput for another form, for a class without a name, and for indices that are
    not 0, 1, 2, ….
    """
    size = file.stat().st_size
    if size > MOST_BYTES:
        raise _invalid(f"{file} must have at most {MOST_BYTES:,} bytes, not {size:,}")
    text = _text(file)
    if file.suffix.lower() == ".json" or text.lstrip()[:1] == "{":
        return _from_json(file, text)
    if text.lstrip()[:1] == "[":
        try:
            return _from_json(file, text)
        except InvalidInput:
            # A name may begin with a bracket.
            pass
    return _lines(file, text)


def _text(file: Path) -> str:
    """The text of a file, which may begin with the byte order mark of UTF-8 or UTF-16."""
    data = file.read_bytes()
    utf16 = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        return data.decode("utf-16" if utf16 else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise _invalid(f"{file} is not text in UTF-8: {error}") from error


def _lines(file: Path, text: str) -> list[str]:
    lines = text.replace("\r\n", "\n").replace("\r", "\n").rstrip().split("\n")
    names = [line.strip() for line in lines]
    if "" in names:
        raise _invalid(f"line {names.index('') + 1} of {file} is empty; write one class name on each line")
    return names


def _from_json(file: Path, text: str) -> list[str]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _invalid(f"{file} is not valid JSON: {error}") from error
    if isinstance(found, dict):
        found = _from_object(file, found)
    if not isinstance(found, list):
        raise _invalid(f"the JSON in {file} must be {_FORMS}")
    names = [_name(value) for value in found]
    if None in names:
        index = names.index(None)
        raise _invalid(f"class {index} in {file} must have a name, not {json.dumps(found[index])[:80]}")
    return [name for name in names if name]


def _from_object(file: Path, found: dict[str, Any]) -> list[Any]:
    for key in ("id2label", "label2id"):
        if isinstance(found.get(key), dict):
            found = found[key]
            break
    values = list(found.values())
    if values and all(isinstance(value, int) and not isinstance(value, bool) for value in values):
        by_index: dict[int, Any] = {}
        for name, index in found.items():
            if index in by_index:
                raise _invalid(f"{file} gives class {index} two names")
            by_index[index] = name
    elif not all(key.isascii() and key.isdecimal() for key in found):
        raise _invalid(f"the JSON in {file} must be {_FORMS}")
    else:
        by_index = {int(key): value for key, value in found.items()}
    missing = next((index for index in range(len(by_index)) if index not in by_index), None)
    if missing is not None or len(by_index) != len(found):
        raise _invalid(
            f"the classes in {file} must be numbered 0 to {len(found) - 1}, each once; {missing} is missing"
        )
    return [by_index[index] for index in range(len(by_index))]


def _name(value: object) -> str | None:
    """The name in a value; of ["n02123045", "tabby"], as Keras lists ImageNet, the last entry."""
    if isinstance(value, list) and value and all(isinstance(each, str) for each in value):
        value = value[-1]
    return value.strip() or None if isinstance(value, str) else None


def _invalid(message: str) -> InvalidInput:
    return InvalidInput(message, field="classes")
