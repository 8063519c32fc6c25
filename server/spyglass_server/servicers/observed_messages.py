"""The messages of a stream whose call waits on a thread, as observations."""

from __future__ import annotations

from collections.abc import Callable

from spyglass_contract.errors import SpyglassError
from spyglass_contract.status_codes import status_code
from spyglass_server.engine.call import Call
from spyglass_server.engine.observation import Observation
from spyglass_server.observing.observers import Observers
from spyglass_server.streams import Request, Response


def observing_messages(
    handle: Callable[[Request, Call], Response], stream: Observation, observers: Observers
) -> Callable[[Request, Call], Response]:
    """Return `handle` with each request shown to the observers; `stream` is the observation of the call."""

    def observed(request: Request, call: Call) -> Response:
        message = Observation(stream.method, stream.request_id, stream.metadata, "message")
        observation = observers.begin(message, stream)
        observation.request, observation.request_bytes = request, request.ByteSize()
        observation.call = part = call.observed(observation)
        stream.messages += 1
        try:
            response = handle(request, part)
        except SpyglassError as error:
            stream.failed += 1
            observers.end(observation, status_code(error), error.reason)
            raise
        except Exception:
            stream.failed += 1
            observers.end(observation, "INTERNAL", "INTERNAL")
            raise
        observation.answered(response, response.ByteSize())
        observers.end(observation, "OK")
        return response

    return observed
