"""Many works that are one request: it ends when the last of them has ended, or one has failed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from threading import Lock
from typing import Any

from spyglass_contract.errors import InvalidInput, LimitExceeded
from spyglass_server.engine.call import Call
from spyglass_server.engine.engine import Engine
from spyglass_server.engine.observation import Observation
from spyglass_server.engine.scheduling.job import Done
from spyglass_server.engine.work import Work


def ending_alone(join: Callable[[list[Any]], object], done: Done) -> Done:
    """Return what ends the only work of a request; `join` makes the response of the request from its own."""

    def ended(response: object, error: Exception | None) -> None:
        if error is None:
            _end(join, [response], done)
        else:
            done(None, error)

    return ended


def start_all(
    engine: Engine,
    works: Sequence[Work],
    call: Call,
    observations: Sequence[Observation | None],
    join: Callable[[list[Any]], object],
    done: Done,
) -> None:
    """Start the works of one request; `join` makes its response from theirs, in their order.

    Each work has one of the `observations`, None if nobody observes it. If one fails, the others are
    cancelled, and the request fails with its error. The first work that is queued takes a place among the
    requests of the server; the others only need to be done in time. Raises the errors of `Workers.submit`;
    then `done` is not called.
    """
    joined = _Joined(len(works), call.part(), join, done)
    if call.observation:
        call.observation.model, call.observation.image = works[0].model, works[0].image
    placed = False
    try:
        for number, (work, observation) in enumerate(zip(works, observations, strict=True)):
            part = joined.call.part(patient=call.patient or placed)
            part.observation = observation
            placed = engine.start(work, part, partial(joined.ended, number)) or placed
    except Exception:
        # Otherwise the request has ended already, with the error of an earlier work.
        if joined.give_up():
            raise


class _Joined:
    """The responses of a request's works."""

    def __init__(self, count: int, call: Call, join: Callable[[list[Any]], object], done: Done) -> None:
        self.call = call
        self._responses: list[Any] = [None] * count
        self._missing = count
        self._join = join
        self._done: Done | None = done
        self._lock = Lock()

    def ended(self, number: int, response: object, error: Exception | None) -> None:
        """Take the response or the error of one work."""
        with self._lock:
            self._responses[number] = response
            self._missing -= 1
            if self._done is None or (self._missing and error is None):
                return
            done, self._done = self._done, None
        if error is not None:
            self.call.cancel()
            done(None, _of_image(error, number, len(self._responses)))
            return
        _end(self._join, self._responses, done)

    def give_up(self) -> bool:
        """Cancel the works that have started, and return whether the request has not ended yet."""
        with self._lock:
            open_, self._done = self._done is not None, None
        self.call.cancel()
        return open_


def _end(join: Callable[[list[Any]], object], responses: list[Any], done: Done) -> None:
    try:
        joined = join(responses)
    except Exception as failure:
        done(None, failure)
    else:
        done(joined, None)


def _of_image(error: Exception, number: int, count: int) -> Exception:
    """Return an error about one image with its number."""
    if not isinstance(error, InvalidInput | LimitExceeded) or not error.field.startswith("image"):
        return error
    return type(error)(
        f"image {number + 1} of {count}: {error.message}", reason=error.reason, field=error.field
    )
