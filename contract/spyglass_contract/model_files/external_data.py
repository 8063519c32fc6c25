"""The files in which a model has the values of its tensors: regular ones, in the folder of the model."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from spyglass_contract.model_files.outline import ExternalData, external_data_error


@dataclass(frozen=True)
class FileState:
    """What the system changes when a file is written or replaced."""

    device: int
    inode: int
    size: int
    modified: int
    changed: int

    @classmethod
    def of(cls, status: os.stat_result) -> FileState:
        """Return the state in a status."""
        return cls(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def external_files(model: Path, places: Iterable[ExternalData]) -> dict[Path, FileState]:
    """Return the files that hold the values of a model's tensors, each with its state.

    Raises ModelError, MODEL_EXTERNAL_DATA, for a file that is outside of the model's folder, by its name or
    by a symbolic link, that is not a regular file, or that has fewer bytes than a tensor needs.
    """
    folder = model.parent.resolve()
    found: dict[Path, FileState] = {}
    states: dict[str, FileState] = {}
    for place in places:
        if place.location not in states:
            path = _inside(folder, place.location)
            states[place.location] = found[path] = _state(path, place.location)
        size = states[place.location].size
        if place.offset + (place.length or 0) > size:
            raise external_data_error(
                f"a tensor has its values at bytes {place.offset} to {place.offset + (place.length or 0)} of "
                f"{place.location[:100]!r}, which has {size}: copy both files of the model again"
            )
    return found


def _inside(folder: Path, location: str) -> Path:
    """Return the file with this location. Raises ModelError if it is not below `folder`."""
    shown = repr(location[:100])
    parts = PurePosixPath(location).parts
    if not parts or "\0" in location or PurePosixPath(location).is_absolute() or ".." in parts:
        raise external_data_error(
            f"the file names {shown} as a file of its tensors; it must be a path inside the model's folder"
        )
    try:
        path = (folder / location).resolve(strict=True)
    except (OSError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or "a loop of links"
        raise external_data_error(
            f"the file of tensors {shown} cannot be opened ({reason}); it belongs beside the model file"
        ) from error
    if not path.is_relative_to(folder):
        raise external_data_error(
            f"the file of tensors {shown} is a link out of the model's folder: copy the file into the folder"
        )
    return path


def _state(path: Path, location: str) -> FileState:
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise external_data_error(f"{location[:100]!r}, named as a file of tensors, is not a regular file")
    return FileState.of(status)
