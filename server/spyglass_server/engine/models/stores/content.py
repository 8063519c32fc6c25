"""Which files a version in a cache has: written when all of them are there, and compared with them later."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter, ValidationError

from spyglass_contract.files import whole_file

_log = logging.getLogger(__name__)

CONTENT = "content.json"

_MAX_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True)
class Held:
    """A file that the cache has."""

    path: Annotated[str, Field(max_length=2000)]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    bytes: Annotated[int, Field(ge=0)]


@dataclass(frozen=True)
class _Content:
    format: Literal[1]
    files: tuple[Held, ...]


_CONTENT = TypeAdapter(_Content)


def write_content(folder: Path, files: Sequence[Held]) -> None:
    """Say that a version in a folder of the cache is complete. Raises OSError."""
    with whole_file(folder / CONTENT) as path, path.open("wb") as file:
        file.write(_CONTENT.dump_json(_Content(1, tuple(files)), indent=1))
        file.flush()
        os.fsync(file.fileno())


def is_complete(folder: Path, files: Path) -> bool:
    """Return whether a version is complete, and its files below `files` have the right hashes."""
    try:
        if (folder / CONTENT).stat().st_size > _MAX_BYTES:
            raise ValueError
        content = _CONTENT.validate_json((folder / CONTENT).read_bytes())
    except FileNotFoundError:
        return False
    except (ValidationError, ValueError):
        _log.warning("%s is damaged: the files are fetched again", folder / CONTENT)
        return False
    for held in content.files:
        if not _is_good(files / held.path, held):
            _log.warning("%s is damaged: the files of the version are fetched again", files / held.path)
            return False
    return True


def _is_good(path: Path, held: Held) -> bool:
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            return size == held.bytes and hashlib.file_digest(file, "sha256").hexdigest() == held.sha256
    except OSError:
        return False
