"""Streams whose caller is not valid any more."""

from __future__ import annotations

import pytest

from spyglass_contract.errors import SpyglassError, Unauthenticated
from spyglass_server.access import open_streams as open_streams_module
from spyglass_server.access.entries import Identity
from spyglass_server.access.open_streams import OpenStreams
from spyglass_server.access.scopes import Scopes

TEAM = Identity("1", "team", Scopes.parse(["admin"]))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1000.0]
    monkeypatch.setattr(open_streams_module.time, "monotonic", lambda: now[0])
    return now


def test_a_stream_is_told_to_end_once_and_then_cancelled_within_two_seconds(clock: list[float]) -> None:
    streams = OpenStreams()
    told: list[SpyglassError] = []
    cancelled: list[float] = []
    streams.enter(TEAM, told.append, lambda: cancelled.append(clock[0]))

    streams.sweep(lambda identity: True)
    assert not told
    for _ in range(8):
        streams.sweep(lambda identity: False)
        clock[0] += 0.25

    assert [type(error) for error in told] == [Unauthenticated]
    assert 1000.25 < cancelled[0] <= 1001.0


def test_a_stream_that_has_ended_is_forgotten(clock: list[float]) -> None:
    streams = OpenStreams()
    told: list[SpyglassError] = []
    leave = streams.enter(TEAM, told.append, lambda: None)

    leave()
    leave()
    streams.sweep(lambda identity: False)

    assert not told
    assert len(streams) == 0
