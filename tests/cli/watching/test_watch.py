"""A server that is watched while it goes and comes back."""

from __future__ import annotations

import pytest

from spyglass_cli.watching.snapshot import MetricsError, Snapshot
from spyglass_cli.watching.watch import Watch


class Server:
    """Answers with the next of its snapshots, or fails with its error."""

    def __init__(self, *answers: Snapshot | MetricsError) -> None:
        self.answers = list(answers)

    def __call__(self, address: str) -> Snapshot:
        answer = self.answers.pop(0)
        if isinstance(answer, MetricsError):
            raise answer
        return answer


def at(moment: float) -> Snapshot:
    return Snapshot({"process_start_time_seconds": {frozenset(): 1.0}}, moment)


def test_a_gap_leaves_the_last_view_with_a_reason_and_then_spans_the_gap() -> None:
    watch = Watch("localhost:1", Server(at(0.0), at(2.0), MetricsError("it is gone"), at(6.0)))
    watch.refresh()
    assert (watch.changes.seconds, watch.problem) == (2.0, "")

    watch.refresh()
    assert (watch.changes.seconds, watch.problem) == (2.0, "it is gone")

    watch.refresh()
    assert (watch.changes.seconds, watch.problem) == (4.0, "")


def test_a_server_that_is_not_there_at_the_start_is_an_error() -> None:
    with pytest.raises(MetricsError, match="it is gone"):
        Watch("localhost:1", Server(MetricsError("it is gone")))
