"""Profiles in files: beside the models, or in the user's cache folder."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter, ValidationError

from spyglass_contract.files import write_whole
from spyglass_server.engine.cache_folder import cache_folder
from spyglass_server.engine.profiling.profile import Count, Profile

_log = logging.getLogger(__name__)

FOLDER, FILE = ".spyglass", "profiles.json"
_MAX_BYTES = 1 << 20
# The oldest profiles beyond this number are dropped.
_MAX_PROFILES = 200

_Text = Annotated[str, Field(max_length=200)]


@dataclass(frozen=True)
class Key:
    """Everything that the speed of a model depends on: a profile holds only for an equal key."""

    # Of the model file, lower-case hexadecimal.
    sha256: _Text
    processor: _Text
    # The version of ONNX Runtime, and its execution provider.
    runtime: _Text
    provider: _Text
    # fp32, bf16 or int8.
    precision: _Text
    # Runs side by side, the threads of each, and those of a run that has all cores.
    workers: Count
    threads: Count
    wide_threads: Count


@dataclass(frozen=True)
class _Entry:
    key: Key
    profile: Profile


@dataclass(frozen=True)
class _Content:
    """The content of a file, the oldest profile first."""

    format: Literal[1]
    profiles: tuple[_Entry, ...]


_CONTENT = TypeAdapter(_Content)


class ProfileStore:
    """The profiles of the models below one folder. A file that cannot be used counts as empty."""

    def __init__(self, models: Path | None) -> None:
        """`models` is the folder with NAME/VERSION/model.onnx; None: use the cache folder only."""
        self._models = models

    def find(self, key: Key) -> Profile | None:
        """Return the newest stored profile of a key, or None."""
        for path in self._paths():
            for entry in reversed(_read(path)):
                if entry.key == key:
                    return entry.profile
        return None

    def keep(self, key: Key, profile: Profile) -> bool:
        """Store a profile in the first folder that can be written; False: there is none."""
        for path in self._paths():
            kept = [entry for entry in _read(path) if entry.key != key]
            content = _Content(1, (*kept[1 - _MAX_PROFILES :], _Entry(key, profile)))
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                write_whole(path, json.dumps(asdict(content), indent=1))
            except OSError as error:
                _log.debug("profiles cannot be written to %s: %s", path, error)
            else:
                return True
        return False

    def folders(self) -> list[Path]:
        """Return the folders in which profiles are stored, the preferred one first."""
        return [path.parent for path in self._paths()]

    def _paths(self) -> Iterator[Path]:
        if self._models:
            yield self._models / FOLDER / FILE
        if cache := cache_folder():
            yield cache / FILE


def _read(path: Path) -> tuple[_Entry, ...]:
    """Return the entries of a file; none if there is no file, or a log line says what is wrong with it."""
    try:
        if not path.exists():
            return ()
        # To open a pipe would wait for its writer.
        if not path.is_file() or path.stat().st_size > _MAX_BYTES:
            _log.warning("%s is ignored: it must be a file of at most %d bytes", path, _MAX_BYTES)
            return ()
        return _CONTENT.validate_json(path.read_bytes()).profiles
    except OSError as error:
        _log.warning("%s is ignored: %s", path, error)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the text"
        _log.warning("%s is ignored: it is not a file of profiles: %s: %s", path, place, first["msg"])
    return ()
