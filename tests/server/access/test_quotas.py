"""The quotas of callers: rates with a burst, and calls at a time."""

from __future__ import annotations

import pytest

from spyglass_contract.errors import Overloaded
from spyglass_server.access import quotas as quotas_module
from spyglass_server.access.entries import CallerLimits
from spyglass_server.access.quotas import Quota, Quotas
from spyglass_server.access.rate import BURST_SECONDS


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, which stands still until a test changes it."""
    now = [1000.0]
    monkeypatch.setattr(quotas_module.time, "monotonic", lambda: now[0])
    return now


def accepted(quotas: Quotas, quota: Quota, count: int, megapixels: float = 0, caller: str = "a") -> int:
    number = 0
    for _ in range(count):
        try:
            quotas.enter(caller, quota, megapixels)()
            number += 1
        except Overloaded:
            pass
    return number


def test_a_caller_gets_its_rate_and_a_burst_of_two_seconds(clock: list[float]) -> None:
    quotas, quota = Quotas(), Quota(requests_per_second=10)

    assert accepted(quotas, quota, 100) == 10 * BURST_SECONDS + 1
    total = 0
    for _ in range(1000):
        clock[0] += 0.01
        total += accepted(quotas, quota, 3)

    assert total == pytest.approx(100, abs=1)


@pytest.mark.parametrize("rate", [0.1, 3, 17, 1000])
def test_a_caller_that_waits_as_long_as_it_was_told_gets_through(clock: list[float], rate: float) -> None:
    quotas, quota = Quotas(), Quota(requests_per_second=rate)
    many = int(3 * rate) + 5
    accepted(quotas, quota, many)

    for _ in range(20):
        with pytest.raises(Overloaded) as refused:
            quotas.enter("a", quota, 0)
        assert refused.value.retry_after is not None
        clock[0] += refused.value.retry_after
        quotas.enter("a", quota, 0)()
        accepted(quotas, quota, many)


def test_an_image_larger_than_the_burst_is_accepted_and_paid_for_later(clock: list[float]) -> None:
    quotas, quota = Quotas(), Quota(megapixels_per_second=1)

    quotas.enter("a", quota, 60)()

    with pytest.raises(Overloaded) as refused:
        quotas.enter("a", quota, 0.1)
    assert (refused.value.reason, refused.value.retry_after) == ("CALLER_MEGAPIXEL_RATE", 58.0)
    clock[0] += 58.0
    quotas.enter("a", quota, 0.1)()


def test_a_refused_request_uses_nothing(clock: list[float]) -> None:
    quotas, quota = Quotas(), Quota(requests_per_second=1, megapixels_per_second=1)
    quotas.enter("a", quota, 10)()

    assert accepted(quotas, quota, 1000) == 0
    clock[0] += 8.2

    assert accepted(quotas, quota, 2, 0.1) == 2


def test_callers_have_quotas_of_their_own(clock: list[float]) -> None:
    quotas, quota = Quotas(), Quota(requests_per_second=1)
    accepted(quotas, quota, 100, caller="a")

    assert accepted(quotas, quota, 1, caller="b") == 1


def test_calls_at_a_time_are_bounded_until_they_end(clock: list[float]) -> None:
    quotas, quota = Quotas(), Quota(concurrent_calls=2)
    leave, _ = quotas.enter("a", quota, 0), quotas.enter("a", quota, 0)

    with pytest.raises(Overloaded, match="2 calls in work") as refused:
        quotas.check("a", quota)
    assert refused.value.reason == "CALLER_CONCURRENT_CALLS"
    leave()

    quotas.check("a", quota)


def test_requests_of_a_stream_are_told_to_wait_for_their_turn(clock: list[float]) -> None:
    quotas, quota = Quotas(), Quota(requests_per_second=10)

    waits = [quotas.reserve("a", quota, 0) for _ in range(24)]

    assert waits[:21] == [0.0] * 21
    assert waits[21:] == pytest.approx([0.1, 0.2, 0.3])


def test_many_callers_take_bounded_memory_and_those_with_calls_are_kept(clock: list[float]) -> None:
    quotas, quota = Quotas(max_callers=100), Quota(requests_per_second=1, concurrent_calls=1)
    quotas.enter("busy", quota, 0)

    for number in range(1000):
        quotas.enter(f"caller-{number}", quota, 0)()

    assert len(quotas) == 100
    with pytest.raises(Overloaded):
        quotas.check("busy", quota)


def test_limits_of_a_token_override_those_of_the_server() -> None:
    general = Quota(requests_per_second=5, megapixels_per_second=7, concurrent_calls=3)

    own = general.overridden(CallerLimits(requests_per_second=0, concurrent_calls=9))

    assert own == Quota(0, 7, 9)
    assert general and not Quota()
