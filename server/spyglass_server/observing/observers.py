"""The begin and the end of an observation: every observer sees it once, at its end."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable

from spyglass_server.engine.observation import Observation

_log = logging.getLogger(__name__)

Observer = Callable[[Observation], object]
"""Sees an observation that has ended. It runs in the thread that responds, before the response: it must be
quick, must not block, and may keep nothing of the request."""

Beginner = Callable[[Observation, Observation | None], object]
"""Sees an observation that begins, and that of its stream, if it is a message of one. It must not block."""


class Observers:
    """The observers of all requests."""

    def __init__(self, observers: Iterable[Observer] = (), beginners: Iterable[Beginner] = ()) -> None:
        self._observers = tuple(observers)
        self._beginners = tuple(beginners)

    def begin(self, observation: Observation, stream: Observation | None = None) -> Observation:
        """Return `observation` after its beginners have seen it; `stream` is that of its stream."""
        for beginner in self._beginners:
            try:
                beginner(observation, stream)
            except Exception:
                _log.exception("an observer failed")
        return observation

    def end(self, observation: Observation, code: str, reason: str = "") -> None:
        """Show every observer a request that ended with this status code; one that fails disturbs nobody.

        Before a request with several images, they see each image.
        """
        observation.ended = time.monotonic()
        observation.code, observation.reason = code, reason
        # Of a request that failed, no image has an output that its caller gets.
        for image in observation.images if code == "OK" else ():
            image.code, image.ended, image.call = code, observation.ended, observation.call
            self._show(image)
        self._show(observation)
        observation.forget()

    def _show(self, observation: Observation) -> None:
        for observer in self._observers:
            try:
                observer(observation)
            except Exception:
                _log.exception("an observer failed")
