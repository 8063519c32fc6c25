"""The end of an observation: every observer sees it once."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable

from spyglass_server.engine.observation import Observation

_log = logging.getLogger(__name__)

Observer = Callable[[Observation], object]
"""Sees an observation that has ended. It runs in the thread that responds, before the response: it must be
quick, must not block, and may keep nothing of the request."""


class Observers:
    """The observers of all requests."""

    def __init__(self, observers: Iterable[Observer] = ()) -> None:
        self._observers = tuple(observers)

    def end(self, observation: Observation, code: str, reason: str = "") -> None:
        """Show every observer a request that ended with this status code; one that fails disturbs nobody."""
        observation.ended = time.monotonic()
        observation.code, observation.reason = code, reason
        for observer in self._observers:
            try:
                observer(observation)
            except Exception:
                _log.exception("an observer failed")
        # The two hold each other, and the observation holds the image: without a cycle, its memory is freed
        # at once.
        if observation.call:
            observation.call.observation = None
