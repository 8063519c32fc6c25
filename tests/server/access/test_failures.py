"""Refused calls in the log: few lines, and bounded memory."""

from __future__ import annotations

import pytest

from spyglass_server.access import failures as failures_module
from spyglass_server.access.failures import Failures


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1000.0]
    monkeypatch.setattr(failures_module.time, "monotonic", lambda: now[0])
    return now


def test_an_address_has_a_line_a_minute_with_the_number_of_its_calls(
    clock: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    failures = Failures()
    for _ in range(100):
        failures.add("ipv4:10.0.0.1", "TOKEN_MISSING")
        clock[0] += 1

    assert caplog.messages == [
        "calls of ipv4:10.0.0.1 were refused: 1, the last one with TOKEN_MISSING",
        "calls of ipv4:10.0.0.1 were refused: 60, the last one with TOKEN_MISSING",
    ]


def test_many_addresses_take_bounded_memory(clock: list[float]) -> None:
    failures = Failures()
    for number in range(5000):
        failures.add(f"ipv4:{number}", "TOKEN_MISSING")

    assert len(failures._addresses) == 1024
