"""What a server does differently if other processes share its port."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from spyglass_server.administration import Administration
from spyglass_server.engine.models.lifecycle.lifecycle import Lifecycle


class Sharing(Protocol):
    """The other processes, as a server sees them."""

    @property
    def profile_lock(self) -> Path:
        """The file by which the processes measure models one after the other."""

    def administer(self, own: Administration, lifecycle: Lifecycle) -> Administration:
        """Return what changes the models of all processes; `own` changes those of this one."""

    def join(self) -> None:
        """Make the changes that the others have made; called when all models are loaded.

        Then the server listens.
        """
