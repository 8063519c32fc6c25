"""The stages of a request, as times: queue, decode, inference and encode."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from spyglass_server.engine.observation import Observation


@dataclass(frozen=True)
class Stage:
    """A part of a request's time, in seconds of `time.monotonic()`; it lies inside of the request."""

    name: str
    started: float
    ended: float
    # The request ended in this stage, with an error.
    failed: bool = False


def stages_of(observation: Observation) -> Iterator[Stage]:
    """Yield the stages that have begun, in order. One without an end of its own ended with the request."""
    inferred, timing = observation.inferred, observation.timing
    spans: list[tuple[str, float, float | None]] = [
        ("queue", observation.queued, inferred.queue_ms if inferred else _until(observation)),
        ("decode", observation.decode_started, inferred.decode_ms if inferred else _decoded(observation)),
        (
            "inference",
            observation.inference_started,
            # With all passes that the response needed.
            timing.inference_ms if timing else inferred.inference_ms if inferred else None,
        ),
        ("encode", observation.encode_started, timing.encode_ms if timing else None),
    ]
    for name, started, milliseconds in spans:
        # A response that became known in the queue has no other stage.
        if started and (name == "queue" or not observation.cached):
            ended = observation.ended if milliseconds is None else started + milliseconds / 1000
            began = _inside(observation, started)
            ended = max(began, _inside(observation, ended))
            yield Stage(name, began, ended, failed=milliseconds is None)


def _until(observation: Observation) -> float:
    """Return the milliseconds from the queue to the decoding."""
    return (observation.decode_started - observation.queued) * 1000


def _decoded(observation: Observation) -> float | None:
    """Return the milliseconds from the decoding to the inference; None: it did not begin."""
    if not observation.inference_started:
        return None
    return (observation.inference_started - observation.decode_started) * 1000


def _inside(observation: Observation, moment: float) -> float:
    return min(max(moment, observation.started), observation.ended)
