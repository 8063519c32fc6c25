"""The stages of requests, from the times that the engine has noted."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from spyglass.v1.reply_pb2 import Timing
from spyglass_server.engine.observation import Observation
from spyglass_server.observing.tracing.stages import Stage, stages_of


def observed(**values: Any) -> Observation:
    """Return a request from second 100 to 110, which was in the queue from 101 on."""
    observation = Observation("/spyglass.v1.Vision/Classify")
    observation.started, observation.ended, observation.queued = 100.0, 110.0, 101.0
    for name, value in values.items():
        setattr(observation, name, value)
    return observation


def inferred(**milliseconds: float) -> Any:
    return SimpleNamespace(
        **{"queue_ms": 1000.0, "decode_ms": 1000.0, "inference_ms": 2000.0, **milliseconds}
    )


def test_every_stage_lasts_as_long_as_the_engine_says() -> None:
    observation = observed(
        decode_started=102.0,
        inference_started=104.0,
        encode_started=107.0,
        inferred=inferred(),
        response=SimpleNamespace(timing=Timing(inference_ms=3000, encode_ms=500)),
    )
    assert list(stages_of(observation)) == [
        Stage("queue", 101.0, 102.0),
        Stage("decode", 102.0, 103.0),
        # With further passes of the network, as the response says.
        Stage("inference", 104.0, 107.0),
        Stage("encode", 107.0, 107.5),
    ]


def test_a_stage_never_leaves_its_request() -> None:
    observation = observed(
        queued=99.0, decode_started=109.0, inference_started=109.5, inferred=inferred(inference_ms=60_000.0)
    )
    assert all(100.0 <= stage.started <= stage.ended <= 110.0 for stage in stages_of(observation))


def test_a_request_that_failed_in_a_stage_has_no_later_one() -> None:
    stages = list(stages_of(observed(decode_started=102.0, inference_started=103.0)))
    assert stages == [
        Stage("queue", 101.0, 102.0),
        Stage("decode", 102.0, 103.0),
        Stage("inference", 103.0, 110.0, failed=True),
    ]


def test_a_response_that_became_known_in_the_queue_has_no_further_stage() -> None:
    assert list(stages_of(observed(decode_started=102.0, cached=True))) == [Stage("queue", 101.0, 102.0)]


def test_a_request_that_was_refused_has_no_stages() -> None:
    assert list(stages_of(observed(queued=0.0))) == []
