"""Which names and paths of a repository may become files on this machine."""

from __future__ import annotations

import re

from spyglass_contract.images.folders import is_hidden

MAX_NAME_BYTES = 200
MAX_PATH_BYTES = 1000
MAX_DEPTH = 4
"""The most parts of a path below the folder of a version."""

_NAME = re.compile(r"[^:@\s/\\]+")
_VERSION = re.compile(r"[1-9][0-9]{0,17}")


def is_name(text: str) -> bool:
    """Return whether a text can be the name of a model and of its folder."""
    return _NAME.fullmatch(text) is not None and _is_part(text)


def is_version(text: str) -> bool:
    """Return whether a text is a version: a whole number from 1 on, without leading zeros."""
    return _VERSION.fullmatch(text) is not None


def is_file_path(text: str) -> bool:
    """Return whether a text is a path below the folder of a version, which cannot lead out of it."""
    parts = text.split("/")
    return len(parts) <= MAX_DEPTH and _bytes(text) <= MAX_PATH_BYTES and all(map(_is_part, parts))


def _is_part(text: str) -> bool:
    """Return whether a text can be one part of a path; `.` and `..` count as hidden."""
    return (
        text != ""
        and "\\" not in text
        and text.isprintable()
        and not is_hidden(text)
        and _bytes(text) <= MAX_NAME_BYTES
    )


def _bytes(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))
