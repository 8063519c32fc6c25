"""What a server under overload did with the calls, and whether that meets the aims."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from measuring.calls import Calls, percentile_ms
from measuring.outcomes import OK
from overloading.open_loop import OpenCalls

REFUSED = "RESOURCE_EXHAUSTED"
# A server that meets the deadline first resets the call, which the client sees as CANCELLED.
TIMED_OUT = ("DEADLINE_EXCEEDED", "CANCELLED")
# A client process that sends later than this, in milliseconds, was itself the limit.
_LATE_MS = 20.0


@dataclass(frozen=True)
class Outcome:
    """One overload; rates a second, times in milliseconds, shares in [0, 1], memory in megabytes."""

    load: str
    seconds: float
    deadline: float
    capacity: float
    offered: float
    goodput: float
    refused: float
    refusal_p50_ms: float
    refusal_p99_ms: float
    refusals_with_retry: float | None
    timed_out: float
    answered_late: int
    answer_p50_ms: float
    answer_p99_ms: float
    reasons: dict[str, int]
    health_p50_ms: float
    health_p99_ms: float
    health_max_ms: float
    health_failures: dict[str, int]
    client_cores: float
    sent_late_p99_ms: float
    memory: list[tuple[float, float]]
    # What a server that only refuses did at the same rate: timed out in [0, 1], and the p99 of its refusals.
    floor_timed_out: float
    floor_p99_ms: float
    # Calls of each second by their outcome: answered, refused, timed out, other.
    history: list[tuple[int, int, int, int]]

    @property
    def aims(self) -> list[tuple[str, str, bool]]:
        """What should hold, what was measured, and whether it holds."""
        ratio = self.goodput / self.capacity
        first, last = self._memory_ends()
        return [
            ("goodput at least 0.9 of capacity", f"{ratio:.2f}", ratio >= 0.9),
            ("p99 of refusals at most 50 ms", _ms(self.refusal_p99_ms), self.refusal_p99_ms <= 50),
            ("no answer after its deadline", f"{self.answered_late}", self.answered_late == 0),
            ("less than 1 % timed out", f"{self.timed_out:.2%}", self.timed_out < 0.01),
            ("p99 of health checks at most 50 ms", f"{self.health_p99_ms:.0f} ms", self.health_p99_ms <= 50),
            (
                "at most 5 % more memory at the end",
                f"{first:.0f} to {last:.0f} MB",
                last <= 1.05 * first,
            ),
        ]

    @property
    def clients_were_the_limit(self) -> bool:
        """True if the client processes could not send in time."""
        return self.sent_late_p99_ms > _LATE_MS

    def _memory_ends(self) -> tuple[float, float]:
        """Return the medians of the second and of the last tenth of the curve."""
        values = [megabytes for _, megabytes in self.memory]
        tenth = max(len(values) // 10, 1)
        return float(np.median(values[tenth : 2 * tenth] or values)), float(np.median(values[-tenth:]))


def outcome(
    load: str,
    capacity: float,
    deadline: float,
    seconds: float,
    calls: OpenCalls,
    health: Calls,
    memory: list[tuple[float, float]],
    floor: OpenCalls,
) -> Outcome:
    """Return what became of the calls of `seconds`; `floor` are those to a server that only refuses."""
    _, floor_refused, floor_timed_out = _kinds(floor)
    answered, refused, timed_out = _kinds(calls)
    in_time = answered & (calls.waited <= deadline)
    count = max(len(calls.codes), 1)
    late: Any = calls.waited - calls.taken
    return Outcome(
        load=load,
        seconds=seconds,
        deadline=deadline,
        capacity=capacity,
        offered=len(calls.codes) / seconds,
        goodput=float(in_time.sum()) / seconds,
        refused=float(refused.sum()) / count,
        refusal_p50_ms=percentile_ms(calls.taken[refused], 50),
        refusal_p99_ms=percentile_ms(calls.taken[refused], 99),
        refusals_with_retry=calls.retry_shares.get(REFUSED),
        timed_out=float(timed_out.sum()) / count,
        answered_late=int((answered & (calls.waited > deadline)).sum()),
        answer_p50_ms=percentile_ms(calls.waited[answered], 50),
        answer_p99_ms=percentile_ms(calls.waited[answered], 99),
        reasons=dict(calls.reasons),
        health_p50_ms=health.milliseconds(50),
        health_p99_ms=health.milliseconds(99),
        health_max_ms=health.milliseconds(100),
        health_failures=dict(health.failures),
        client_cores=calls.cpu_seconds / seconds,
        sent_late_p99_ms=percentile_ms(late, 99),
        memory=memory,
        floor_timed_out=float(floor_timed_out.mean()),
        floor_p99_ms=percentile_ms(floor.taken[floor_refused], 99),
        history=_history(calls, int(np.ceil(seconds))),
    )


def _ms(value: float) -> str:
    return "no refusal" if np.isnan(value) else f"{value:.0f} ms"


def _history(calls: OpenCalls, seconds: int) -> list[tuple[int, int, int, int]]:
    """Return the calls of each second, by when they were due."""
    second = calls.due.astype(int)
    answered, refused, timed_out = _kinds(calls)
    kinds = (answered, refused, timed_out, ~(answered | refused | timed_out))
    counts = [np.bincount(second[kind], minlength=seconds)[:seconds].tolist() for kind in kinds]
    return list(zip(*counts, strict=True))


def _kinds(calls: OpenCalls) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.bool_]]:
    """Return which calls were answered, refused, and timed out."""
    return calls.codes == OK, calls.codes == REFUSED, np.isin(calls.codes, TIMED_OUT)
