"""What a repository held when it was last read: a server starts from it if the repository is unreachable."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, TypeAdapter, ValidationError

from spyglass_contract.files import write_whole
from spyglass_server.engine.models.stores.names import is_name
from spyglass_server.engine.models.stores.store import MAX_ROUTING_BYTES, Stored

_log = logging.getLogger(__name__)

_MAX_BYTES = 16 * 1024 * 1024


def _name(text: str) -> str:
    if not is_name(text):
        raise ValueError("not a name of a model")
    return text


@dataclass(frozen=True)
class _Version:
    name: Annotated[str, AfterValidator(_name)]
    version: Annotated[int, Field(ge=1)]
    stamp: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


@dataclass(frozen=True)
class _Content:
    format: Literal[1]
    # For people who look into the folder.
    repository: str
    versions: tuple[_Version, ...]


_CONTENT = TypeAdapter(_Content)


class Remembered:
    """The last known versions and routing files of one repository, in a folder of the cache.

    To keep them may fail, which is logged: the repository itself was read.
    """

    def __init__(self, folder: Path, title: str) -> None:
        self._folder = folder
        self._title = title

    def versions(self) -> list[Stored]:
        """Return the last known versions; empty: none is known."""
        data = self._read("versions.json", _MAX_BYTES)
        if data is None:
            return []
        try:
            content = _CONTENT.validate_json(data)
        except ValidationError:
            _log.warning("%s is damaged, and is ignored", self._folder / "versions.json")
            return []
        return [Stored(found.name, found.version, found.stamp) for found in content.versions]

    def keep_versions(self, found: Sequence[Stored]) -> None:
        """Remember the versions."""
        versions = tuple(_Version(stored.name, stored.version, stored.stamp) for stored in found)
        self._write("versions.json", _CONTENT.dump_json(_Content(1, self._title, versions), indent=1))

    def routing(self, name: str) -> bytes | None:
        """Return the last known routing file of a model; None: there was none."""
        return self._read(_routing_path(name), MAX_ROUTING_BYTES)

    def keep_routing(self, name: str, data: bytes | None) -> None:
        """Remember the routing file of a model."""
        if data is not None:
            self._write(_routing_path(name), data)
            return
        try:
            (self._folder / _routing_path(name)).unlink(missing_ok=True)
        except OSError as error:
            self._warn(error)

    def _read(self, path: str, most: int) -> bytes | None:
        try:
            with (self._folder / path).open("rb") as file:
                data = file.read(most + 1)
        except OSError:
            return None
        return data if len(data) <= most else None

    def _write(self, path: str, data: bytes) -> None:
        if self._read(path, len(data)) == data:
            return
        try:
            (self._folder / path).parent.mkdir(parents=True, exist_ok=True)
            write_whole(self._folder / path, data)
        except OSError as error:
            self._warn(error)

    def _warn(self, error: OSError) -> None:
        _log.warning("%s cannot be written: %s", self._folder, error.strerror)


def _routing_path(name: str) -> str:
    return f"routing/{name}.json"
