"""Models that serve no more, until their last requests have ended."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from dataclasses import dataclass

from spyglass_server.engine.models.lifecycle.status import State, Status, now
from spyglass_server.engine.models.model import Model


@dataclass
class _Draining:
    status: Status
    model: weakref.ref[Model]
    identity: int


class Draining:
    """Remembers models until nothing uses them, and so their memory is free. The caller holds a lock."""

    def __init__(self, ended: Callable[[int], object]) -> None:
        """`ended` gets the `id` of each model at its end."""
        self._ended = ended
        self._models: list[_Draining] = []

    def add(self, model: Model) -> None:
        """Wait for the end of a model that no new request finds."""
        card = model.card
        status = Status(card.name, card.version, State.DRAINING, now())
        self._models.append(_Draining(status, weakref.ref(model), id(model)))

    def sweep(self) -> int:
        """Forget the models that have ended, and return their number."""
        left = []
        for draining in self._models:
            if draining.model() is None:
                self._ended(draining.identity)
            else:
                left.append(draining)
        ended = len(self._models) - len(left)
        self._models = left
        return ended

    def statuses(self) -> list[Status]:
        """Return the status of each model that still has requests."""
        return [draining.status for draining in self._models]
