"""A collector that does not answer costs one log line a minute."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from spyglass_server.observing.tracing.collector_log import CollectorLog


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def logged() -> Iterator[list[str]]:
    """The lines that reach the handlers of the root logger."""
    lines: list[str] = []

    class Collecting(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(record.getMessage())

    handler = Collecting()
    logging.getLogger().addHandler(handler)
    yield lines
    logging.getLogger().removeHandler(handler)


@pytest.fixture
def clock() -> Iterator[Clock]:
    clock = Clock()
    lines = CollectorLog(clock)
    lines.open()
    yield clock
    lines.close()


def test_one_line_a_minute_says_how_many_were_left_out(clock: Clock, logged: list[str]) -> None:
    library = logging.getLogger("opentelemetry.exporter.otlp")
    for second in (0, 1, 59, 61):
        clock.now = second
        library.error("no collector\nat %s", "port")

    assert logged == [
        "traces get lost: no collector\\nat port",
        "traces get lost: no collector\\nat port (2 more such lines were left out)",
    ]


def test_what_callers_sent_is_not_logged(clock: Clock, logged: list[str]) -> None:
    logging.getLogger("opentelemetry.trace.span").warning("invalid state %s", "of a caller")
    assert not logged


def test_the_library_logs_by_itself_afterwards(logged: list[str]) -> None:
    lines = CollectorLog()
    lines.open()
    lines.close()
    logging.getLogger("opentelemetry.exporter").error("its own line")
    assert logged == ["its own line"]
