"""What changed between two expositions."""

from __future__ import annotations

import math

import pytest

from spyglass_cli.watching.changes import Changes
from spyglass_cli.watching.snapshot import MetricsError, Snapshot, parse

pytest.importorskip("prometheus_client")


def exposition(
    moment: float, started: float, buckets: tuple[int, int, int], ok: int, failed: int
) -> Snapshot:
    """Return metrics as a server writes them; `buckets` are cumulative counts up to 1 ms, 10 ms and all."""
    text = f"""\
# TYPE spyglass_serving gauge
spyglass_serving 1.0
# TYPE process_start_time_seconds gauge
process_start_time_seconds {started}
# TYPE spyglass_requests_total counter
spyglass_requests_total{{method="Classify",model="m",version="1",code="OK"}} {ok}
spyglass_requests_total{{method="Classify",model="m",version="1",code="INTERNAL"}} {failed}
# TYPE spyglass_stage_duration_seconds histogram
spyglass_stage_duration_seconds_bucket{{stage="decode",model="m",version="1",le="0.001"}} {buckets[0]}
spyglass_stage_duration_seconds_bucket{{stage="decode",model="m",version="1",le="0.01"}} {buckets[1]}
spyglass_stage_duration_seconds_bucket{{stage="decode",model="m",version="1",le="+Inf"}} {buckets[2]}
spyglass_stage_duration_seconds_sum{{stage="decode",model="m",version="1"}} 1.0
spyglass_stage_duration_seconds_count{{stage="decode",model="m",version="1"}} {buckets[2]}
"""
    return parse(text, moment)


BEFORE = exposition(10.0, 5.0, (100, 100, 100), 100, 0)
STAGE = "spyglass_stage_duration_seconds"


def test_counters_are_compared() -> None:
    changes = Changes(BEFORE, exposition(12.0, 5.0, (100, 110, 110), 108, 2))
    assert changes.seconds == 2.0
    assert changes.total("spyglass_requests_total") == 10
    assert changes.by("code", "spyglass_requests_total") == {"OK": 8.0, "INTERNAL": 2.0}
    assert changes.total("spyglass_requests_total", code="INTERNAL") == 2


def test_a_quantile_is_that_of_the_new_entries() -> None:
    changes = Changes(BEFORE, exposition(12.0, 5.0, (105, 110, 110), 110, 0))
    # Five below 1 ms, and five from 1 to 10 ms.
    assert changes.quantile(0.5, STAGE, stage="decode") == pytest.approx(0.001)
    assert changes.quantile(0.75, STAGE, stage="decode") == pytest.approx(0.0055)
    assert changes.quantile(0.5, STAGE, stage="encode") is None


def test_a_quantile_beyond_the_last_bound_is_infinite() -> None:
    changes = Changes(BEFORE, exposition(12.0, 5.0, (100, 100, 110), 110, 0))
    assert changes.quantile(0.5, STAGE) == math.inf


def test_a_quantile_without_new_entries_is_none() -> None:
    assert Changes(BEFORE, BEFORE).quantile(0.5, STAGE) is None


def test_a_restarted_server_counts_from_zero() -> None:
    changes = Changes(BEFORE, exposition(12.0, 11.0, (150, 150, 150), 150, 0))
    assert changes.restarted
    assert changes.total("spyglass_requests_total") == 150


@pytest.mark.parametrize("text", ["<html>", "a{ 1", "# nothing\n", "up 1\n"])
def test_other_text_is_an_error(text: str) -> None:
    with pytest.raises(MetricsError):
        parse(text, 0.0)
