"""A profile's table, and the decisions that follow from it."""

from __future__ import annotations

import pytest

from spyglass_server.engine.profiling.message import profile_message
from spyglass_server.engine.profiling.profile import MeasuredWay, Profile, Way


def profile(*rows: tuple[int, int, int, float]) -> Profile:
    """Return a profile of (batch, threads, at once, seconds) rows."""
    return Profile("2026-01-02T03:04:05+00:00", tuple(MeasuredWay(Way(*row[:3]), row[3]) for row in rows))


def busy(*seconds: float) -> Profile:
    """Return a profile of batches of 1, 2, 4, …, two of them side by side, which take `seconds`."""
    rows = [(1 << power, 1, 2, taken) for power, taken in enumerate(seconds)]
    return profile((1, 1, 1, 0.01), *rows)


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        pytest.param((0.010, 0.020, 0.040), 1, id="no gain"),
        pytest.param((0.010, 0.021, 0.044), 1, id="a loss"),
        pytest.param((0.010, 0.0194, 0.0388), 1, id="a gain of 3 %"),
        pytest.param((0.010, 0.018, 0.032), 4, id="a gain that grows"),
        pytest.param((0.010, 0.0162, 0.032), 2, id="the larger size is within 3 %"),
        pytest.param((0.010, 0.022, 0.030), 4, id="a loss before the gain"),
    ],
)
def test_a_busy_server_forms_the_smallest_batch_of_nearly_the_best_throughput(
    seconds: tuple[float, ...], expected: int
) -> None:
    assert busy(*seconds).max_batch == expected


def test_a_size_that_was_measured_alone_only_says_nothing_of_a_busy_server() -> None:
    measured = profile((1, 1, 1, 0.01), (1, 1, 2, 0.01), (2, 1, 1, 0.001))

    assert measured.max_batch == 1


def test_with_one_worker_runs_alone_tell_the_throughput() -> None:
    assert profile((1, 1, 1, 0.01), (2, 1, 1, 0.012)).max_batch == 2


@pytest.mark.parametrize(
    ("narrow", "wide", "threads"),
    [
        pytest.param(0.0131, 0.010, 4, id="1.3 times faster"),
        pytest.param(0.0129, 0.010, 1, id="not 1.3 times faster"),
        pytest.param(0.0019, 0.0005, 1, id="a short run"),
        pytest.param(0.002, 0.001, 4, id="just long enough"),
    ],
)
def test_a_lone_request_uses_all_cores_if_that_is_much_faster(
    narrow: float, wide: float, threads: int
) -> None:
    measured = profile((1, 1, 1, narrow), (1, 4, 1, wide))

    assert measured.wide_threads == threads
    assert measured.wide == (threads == 4)
    assert measured.image_seconds == narrow


def test_without_a_measured_run_on_all_cores_a_lone_request_uses_the_usual_threads() -> None:
    measured = profile((1, 2, 1, 0.1))

    assert (measured.wide_threads, measured.wide) == (2, False)


@pytest.mark.parametrize("rows", [[], [(2, 1, 1, 0.01)], [(1, 1, 1, 0.01), (1, 1, 1, 0.02)]])
def test_a_table_that_tells_no_time_or_two_times_of_one_image_is_refused(
    rows: list[tuple[int, int, int, float]],
) -> None:
    with pytest.raises(ValueError, match="a profile has"):
        profile(*rows)


def test_the_message_has_the_decisions_and_the_table() -> None:
    message = profile_message(profile((1, 1, 1, 0.004), (1, 2, 1, 0.002), (2, 1, 1, 0.005)))

    assert (message.measured, message.max_batch, message.wide_threads) == ("2026-01-02T03:04:05+00:00", 2, 2)
    assert message.image_seconds == 0.004
    assert [(run.batch, run.threads, run.at_once, run.seconds) for run in message.runs] == [
        (1, 1, 1, 0.004),
        (1, 2, 1, 0.002),
        (2, 1, 1, 0.005),
    ]
    assert message.runs[2].images_per_second == pytest.approx(400)
