"""Admission: permits, refusals with a hint, and patient calls that wait for a permit."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Event

import pytest
from spyglass_server.engine.capacity.admission import Admission

from spyglass_contract.errors import Cancelled, DeadlineExceeded, Overloaded
from spyglass_server.engine.call import Call

PATIENCE = 30
Eventually = Callable[[Callable[[], bool]], None]


def enter(admission: Admission, call: Call) -> str:
    with admission.permit(call):
        return "inside"


def waiting_in_line(admission: Admission, count: int) -> Callable[[], bool]:
    return lambda: len(admission._changed._waiters) == count


def test_admission_grants_as_many_permits_as_the_limit() -> None:
    admission = Admission(2)

    with admission.permit(Call()), admission.permit(Call()):
        assert admission.inside == 2
        with pytest.raises(Overloaded), admission.permit(Call()):
            pass

    assert admission.inside == 0


def test_a_refusal_has_a_time_to_retry_after() -> None:
    admission = Admission(1)

    with admission.permit(Call()), pytest.raises(Overloaded) as refused:
        enter(admission, Call())

    assert refused.value.retry_after is not None
    assert 0.05 <= refused.value.retry_after <= 5
    assert refused.value.reason == "QUEUE_FULL"


def test_a_request_that_fails_gives_its_permit_back() -> None:
    admission = Admission(1)

    with pytest.raises(KeyError), admission.permit(Call()):
        raise KeyError

    assert enter(admission, Call()) == "inside"


def test_a_patient_call_waits_for_a_permit(eventually: Eventually) -> None:
    admission, leave = Admission(1), Event()

    def stay() -> None:
        with admission.permit(Call()):
            assert leave.wait(PATIENCE)

    with ThreadPoolExecutor() as pool:
        pool.submit(stay)
        eventually(lambda: admission.inside == 1)
        patient = pool.submit(enter, admission, Call(patient=True))
        eventually(waiting_in_line(admission, 1))
        assert not patient.done()
        leave.set()
        assert patient.result(PATIENCE) == "inside"


def test_a_patient_call_waits_at_most_until_its_deadline() -> None:
    admission = Admission(1)

    with admission.permit(Call()), pytest.raises(DeadlineExceeded):
        enter(admission, Call(time.monotonic() + 0.01, patient=True))


def test_a_patient_call_stops_waiting_when_its_caller_cancels(eventually: Eventually) -> None:
    admission, call = Admission(1), Call(patient=True)

    with ThreadPoolExecutor() as pool, admission.permit(Call()):
        patient = pool.submit(enter, admission, call)
        eventually(waiting_in_line(admission, 1))
        call.cancel()
        with pytest.raises(Cancelled):
            patient.result(PATIENCE)

    assert admission.inside == 0


def test_a_patient_call_past_its_deadline_gets_no_permit_even_if_one_is_free() -> None:
    with pytest.raises(DeadlineExceeded):
        enter(Admission(1), Call(time.monotonic(), patient=True))


def test_a_permit_that_a_cancelled_call_leaves_goes_to_the_next_in_the_queue(eventually: Eventually) -> None:
    admission = Admission(1)
    first, second = Call(patient=True), Call(patient=True)
    futures: list[Future[str]] = []

    with ThreadPoolExecutor() as pool:
        with admission.permit(Call()):
            for place, call in enumerate((first, second), start=1):
                futures.append(pool.submit(enter, admission, call))
                eventually(waiting_in_line(admission, place))
            # Its caller cancels at the moment in which it wakes up.
            first.cancelled = True
        try:
            with pytest.raises(Cancelled):
                futures[0].result(PATIENCE)
            assert futures[1].result(PATIENCE) == "inside"
        finally:
            second.cancel()


def test_no_more_permits_are_taken_at_a_time_than_the_limit() -> None:
    admission = Admission(3)
    seen = []

    def visit(_: int) -> None:
        with admission.permit(Call(patient=True)):
            seen.append(admission.inside)

    with ThreadPoolExecutor(12) as pool:
        list(pool.map(visit, range(200)))

    assert len(seen) == 200
    assert max(seen) <= 3
    assert admission.inside == 0


def test_a_stall_is_the_time_since_a_permit_was_last_taken_or_given_back() -> None:
    admission = Admission(1)
    assert admission.stalled_seconds == 0

    with admission.permit(Call()):
        time.sleep(0.02)
        assert admission.stalled_seconds >= 0.02

    assert admission.stalled_seconds == 0
