"""The loads and unloads that operators have requested, for a worker that replaces another one."""

from __future__ import annotations

from spyglass_server.supervising.change import LOAD, UNLOAD, Change


class Journal:
    """The changes that still have an effect, in their order. The caller holds a lock."""

    def __init__(self) -> None:
        self._changes: list[tuple[str, int, Change]] = []

    def add(self, change: Change) -> None:
        """Add a load or an unload, in place of those that it undoes or repeats; others are in files."""
        if change.method not in (LOAD, UNLOAD):
            return
        request = change.message()
        name, version = request.name, request.version
        # The end of all versions ends what was before.
        ends_all = change.method == UNLOAD and not version
        self._changes = [
            entry for entry in self._changes if entry[0] != name or not (ends_all or entry[1] == version)
        ]
        self._changes.append((name, version, change))

    @property
    def changes(self) -> list[Change]:
        """What a new worker has to repeat."""
        return [change for _, _, change in self._changes]
