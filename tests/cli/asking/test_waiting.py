"""The line about a server that does not respond soon."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from spyglass_cli.asking.outcomes import Outcome, Outcomes
from spyglass_cli.asking.waiting import with_notice
from spyglass_client import Failure, Unavailable


def outcomes(before_first: Callable[[], object], closed: list[bool]) -> Outcomes:
    try:
        before_first()
        for number in range(3):
            yield Outcome(f"{number}.jpg", Failure(Unavailable("starting")))
    finally:
        closed.append(True)


def test_a_server_that_responds_soon_is_not_mentioned(capsys: pytest.CaptureFixture[str]) -> None:
    closed: list[bool] = []
    paths = [each.path for each in with_notice(outcomes(lambda: None, closed), "host:1", seconds=0.2)]
    time.sleep(0.3)
    assert paths == ["0.jpg", "1.jpg", "2.jpg"]
    assert closed == [True]
    assert capsys.readouterr().err == ""


def test_a_server_that_does_not_respond_is_named_once(
    capsys: pytest.CaptureFixture[str], eventually: Callable[..., None]
) -> None:
    printed: list[str] = []

    def wait_for_the_line() -> None:
        def is_printed() -> bool:
            printed.append(capsys.readouterr().err)
            return "".join(printed) != ""

        eventually(is_printed)

    assert len(list(with_notice(outcomes(wait_for_the_line, []), "host:1", seconds=0.01))) == 3
    assert "".join(printed) == "waiting for the first result from host:1\n"


def test_closing_it_closes_the_outcomes() -> None:
    closed: list[bool] = []
    waiting = with_notice(outcomes(lambda: None, closed), "host:1")
    next(waiting)
    waiting.close()
    assert closed == [True]
