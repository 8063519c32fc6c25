"""A server that is watched: its last change, or why there is none."""

from __future__ import annotations

from collections.abc import Callable

from spyglass_cli.watching.changes import Changes
from spyglass_cli.watching.snapshot import MetricsError, Snapshot, fetch


class Watch:
    """Reads the metrics again and again; a server that is gone for a time is awaited."""

    def __init__(self, address: str, read: Callable[[str], Snapshot] = fetch) -> None:
        """Read the metrics of HOST:PORT. Raises MetricsError."""
        self._address = address
        self._read = read
        self._last = read(address)
        self.changes = Changes(self._last, self._last)
        """The last interval."""
        self.problem = ""
        """Why the changes are not of now; empty: they are."""

    def refresh(self) -> None:
        """Read again; if that fails, the changes stay, and `problem` says why."""
        try:
            now = self._read(self._address)
        except MetricsError as error:
            self.problem = error.message
            return
        self.changes, self._last, self.problem = Changes(self._last, now), now, ""
