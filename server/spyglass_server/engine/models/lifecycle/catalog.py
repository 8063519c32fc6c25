"""All stores of a server as one: which versions there are, and the routing of each model."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from spyglass_contract.errors import ModelError
from spyglass_server.engine.models.routing import Routing
from spyglass_server.engine.models.routing_file import read_routing, write_routing
from spyglass_server.engine.models.stores.failures import StoreError
from spyglass_server.engine.models.stores.store import Store, Stored

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Found:
    """One version, and where it is."""

    store: Store
    stored: Stored

    @property
    def stamp(self) -> str:
        """What changes with the files of the version."""
        return self.stored.stamp

    def fetch(self) -> Path:
        """Return the path of its NAME/VERSION/model.onnx. Raises ModelError, whose details are in the log."""
        try:
            return self.store.fetch(self.stored)
        except StoreError as error:
            # Callers see why a version does not serve.
            title = f"{self.stored.name}/{self.stored.version}"
            if error.reason != "SERVER_ENDS":
                _log.warning("%s cannot be fetched: %s", title, error.message)
            brief = error.brief.replace(f"{self.store.title}/", "")
            raise StoreError(f"{title}: {brief}", reason=error.reason) from error

    def release(self, path: Path) -> None:
        """Take back one `fetch`: the files are not read any more."""
        self.store.release(path)


Versions = Mapping[int, Found]


class Catalog:
    """What several stores hold; the methods are called by one thread at a time."""

    def __init__(self, stores: Sequence[Store]) -> None:
        self._stores = stores
        # What each store held when it was last readable.
        self._held: dict[int, list[Stored]] = {}
        self._doubles: set[tuple[str, int]] = set()
        self._problems: dict[int, str] = {}

    def look(self) -> dict[str, dict[int, Found]]:
        """Return every version by name and number.

        A store that cannot be read counts as unchanged; see `problems`. Of two equal versions the one of the
        first store counts.
        """
        found: dict[str, dict[int, Found]] = {}
        for number, store in enumerate(self._stores):
            for stored in self._versions(number, store):
                versions = found.setdefault(stored.name, {})
                if stored.version in versions:
                    self._warn_of_double(stored, store)
                else:
                    versions[stored.version] = Found(store, stored)
        return found

    def close(self) -> None:
        """Let looks and fetches in progress end soon."""
        for store in self._stores:
            store.close()

    @property
    def problems(self) -> list[str]:
        """Why stores could not be read when `look` was called last."""
        return list(self._problems.values())

    @property
    def public_problems(self) -> list[str]:
        """The same without the places of the stores, for operators on other machines."""
        return [
            message.replace(f" {self._stores[number].title}", "")
            for number, message in self._problems.items()
        ]

    def _versions(self, number: int, store: Store) -> list[Stored]:
        try:
            self._held[number] = store.versions()
        except ModelError as error:
            if self._problems.get(number) != error.message and error.reason != "SERVER_ENDS":
                _log.warning("the models stay as they are: %s", error.message)
            self._problems[number] = error.message
        else:
            self._problems.pop(number, None)
        return self._held.get(number, [])

    def _warn_of_double(self, stored: Stored, store: Store) -> None:
        key = (stored.name, stored.version)
        if key not in self._doubles:
            self._doubles.add(key)
            _log.warning("%s/%d of %s is ignored: another folder of models has it, too", *key, store.title)


class RoutingFile:
    """The file of labels and traffic shares of one model."""

    def __init__(self, name: str, store: Store) -> None:
        self._name = name
        self._store = store

    def read(self) -> Routing:
        """Return its content. Raises ModelError, also if it is damaged."""
        return read_routing(self._store.read(self._name), self._name)

    def write(self, routing: Routing) -> None:
        """Replace its content. Raises ModelError."""
        self._store.write(self._name, write_routing(routing))

    def changing(self) -> AbstractContextManager[object]:
        """See `Store.changing`."""
        return self._store.changing(self._name)
