"""One line of the log for each request."""

from __future__ import annotations

import logging
from random import random

from spyglass_server.engine.observation import Observation
from spyglass_server.logs import FIELDS
from spyglass_server.observing.request_fields import request_fields

_log = logging.getLogger("spyglass.requests")

# Health checks come every second: they are logged at level debug.
_QUIET = "/grpc.health.v1.Health/"


class RequestLog:
    """Logs each call, and each request of a stream, with its times.

    A request that takes longer than `slow_seconds` is a warning. `sample` is the fraction of the other
    successful requests that are logged; failed ones always are.
    """

    def __init__(self, sample: float = 1.0, slow_seconds: float = 0.0, *, only_slow: bool = False) -> None:
        """`slow_seconds` 0: no request is slow. `only_slow`: log nothing else."""
        self._sample = sample
        self._slow_seconds = slow_seconds
        self._only_slow = only_slow

    def __call__(self, observation: Observation) -> None:
        """Log a request that has ended."""
        if observation.kind == "image":
            # The line of its request counts it.
            return
        quiet = observation.method.startswith(_QUIET)
        # A stream, and a watch of the health service, last as long as their callers want.
        slow = 0 < self._slow_seconds < observation.seconds and not quiet and observation.kind != "stream"
        level = logging.WARNING if slow else logging.DEBUG if quiet else logging.INFO
        if not _log.isEnabledFor(level) or not (slow or self._takes(observation)):
            return
        # `Logger.log` would first look for the line of code that logs.
        record = logging.LogRecord(_log.name, level, "", 0, observation.method, (), None)
        record.__dict__[FIELDS] = request_fields(observation, slow=slow)
        _log.handle(record)

    def _takes(self, observation: Observation) -> bool:
        if self._only_slow:
            return False
        return self._sample >= 1 or observation.code != "OK" or random() < self._sample
