"""The counts and times of each version of a model."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from spyglass.v1.reply_pb2 import Timing
from spyglass_server.engine.observation import Kind, Observation
from spyglass_server.observing.model_totals import TotalsOfModels

MODEL: Any = SimpleNamespace(card=SimpleNamespace(name="colors", version=3))


def observed(code: str = "OK", batch: int = 0, kind: Kind = "request", seconds: float = 0.5) -> Observation:
    """Return an observation that has ended; `batch` 0: no network ran."""
    observation = Observation("/m", kind=kind)
    observation.code, observation.model = code, MODEL
    observation.ended = observation.started + seconds
    if batch:
        observation.inferred = SimpleNamespace(batch_size=batch, queue_ms=1.0, decode_ms=2.0)  # type: ignore[assignment]
        observation.response = SimpleNamespace(timing=Timing(inference_ms=3, encode_ms=4))
    return observation


def test_requests_images_and_runs_are_counted() -> None:
    totals = TotalsOfModels()
    for observation in (
        observed(batch=1),
        *[observed(batch=2, kind="image")] * 4,
        observed(),
        observed("INVALID_ARGUMENT", seconds=0.25),
    ):
        totals(observation)

    found = totals.of("colors", 3)
    assert (found.succeeded, found.failed, found.images.images, found.runs) == (2, 1, 5, 3)
    assert found.succeeded_seconds == pytest.approx(1.0) and found.failed_seconds == pytest.approx(0.25)
    assert (found.images.queue_ms, found.images.decode_ms) == (5, 10)
    assert (found.images.inference_ms, found.images.encode_ms) == (15, 20)
    assert {size: part.images for size, part in found.batches.items()} == {1: 1, 2: 4}
    assert found.last > 1.7e9


def test_what_has_no_model_and_whole_streams_are_not_counted() -> None:
    totals = TotalsOfModels()
    stream, unknown = observed(kind="stream"), observed()
    unknown.model = None
    totals(stream)
    totals(unknown)
    assert totals.of("colors", 3).succeeded == 0


def test_what_was_read_does_not_change() -> None:
    totals = TotalsOfModels()
    totals(observed(batch=1))
    before = totals.of("colors", 3)
    totals(observed(batch=1))
    assert (before.succeeded, before.images.images) == (1, 1)
    assert totals.of("colors", 4).last == 0
