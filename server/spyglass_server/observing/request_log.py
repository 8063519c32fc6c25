"""One line of the log for each request."""

from __future__ import annotations

import logging

from spyglass_server.engine.observation import Observation
from spyglass_server.request_id import using_request_id

_log = logging.getLogger("spyglass.requests")

# Health checks come every second: they are logged at level debug.
_QUIET = "/grpc.health.v1.Health/"


class RequestLog:
    """Logs the status code and the duration of each call; of a stream's messages, none."""

    def __call__(self, observation: Observation) -> None:
        level = logging.DEBUG if observation.method.startswith(_QUIET) else logging.INFO
        if observation.kind == "message" or not _log.isEnabledFor(level):
            return
        with using_request_id(observation.request_id):
            fields = {"code": observation.code, "duration_ms": round(observation.seconds * 1000, 2)}
            _log.log(level, observation.method, extra=fields)
