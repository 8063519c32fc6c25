"""The deadline of one request, from its field `timeout`."""

from __future__ import annotations

import time

import pytest
from google.protobuf.duration_pb2 import Duration

from spyglass.v1.classify_pb2 import ClassifyRequest
from spyglass_contract.errors import Cancelled, DeadlineExceeded, InvalidInput
from spyglass_server.engine.call import Call
from spyglass_server.engine.own_deadline import with_own_deadline


def with_timeout(seconds: int, nanos: int = 0) -> ClassifyRequest:
    return ClassifyRequest(timeout=Duration(seconds=seconds, nanos=nanos))


def test_a_request_without_a_timeout_uses_the_given_call() -> None:
    call = Call()
    assert with_own_deadline(call, ClassifyRequest()) is call


def test_the_earlier_of_the_two_deadlines_is_used() -> None:
    for deadline, seconds, left in ((None, 20, 20), (5, 20, 5), (50, 20, 20)):
        call = Call(None if deadline is None else time.monotonic() + deadline, patient=True)
        own = with_own_deadline(call, with_timeout(seconds))
        assert own.remaining() == pytest.approx(left, abs=1)
        assert own.patient


def test_a_timeout_that_has_passed_ends_the_request_but_not_the_call() -> None:
    call = Call()
    own = with_own_deadline(call, with_timeout(0, 1))
    with pytest.raises(DeadlineExceeded):
        own.remaining()
    assert call.remaining() is None


def test_a_cancelled_call_cancels_its_requests() -> None:
    call = Call()
    own = with_own_deadline(call, with_timeout(20))
    call.cancel()
    with pytest.raises(Cancelled):
        own.remaining()
    with pytest.raises(Cancelled):
        with_own_deadline(call, with_timeout(20)).remaining()


@pytest.mark.parametrize("seconds", [10**9, 315_576_000_000, 2**63 - 1])
def test_a_timeout_longer_than_a_lock_can_wait_is_no_limit(seconds: int) -> None:
    assert with_own_deadline(Call(), with_timeout(seconds)).remaining() is None


@pytest.mark.parametrize(("seconds", "nanos"), [(0, 0), (-1, 0), (0, -1), (1, -1), (1, 10**9), (-(2**63), 0)])
def test_a_timeout_that_is_not_more_than_0_is_rejected(seconds: int, nanos: int) -> None:
    with pytest.raises(InvalidInput) as rejected:
        with_own_deadline(Call(), with_timeout(seconds, nanos))
    assert (rejected.value.reason, rejected.value.field) == ("TIMEOUT_INVALID", "timeout")
