"""A queue that shares the workers fairly, level by level: priorities, callers, connections, models."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Hashable
from dataclasses import dataclass, field
from itertools import count

from spyglass_server.engine.scheduling.job import Job

Path = tuple[tuple[Hashable, float], ...]
"""The flow of a job on each level, from the top: the key of the flow, and its weight."""

# A leaf or a heap is cleaned when it is this long and half of its entries are forgotten.
_PURGE_LENGTH = 64


@dataclass(eq=False)
class _Flow:
    """The jobs of one key of a level. `start` is the virtual time of its next one, in seconds."""

    key: Hashable
    weight: float
    # The next level, or the jobs themselves, the oldest first.
    inside: _Level | _Leaf
    start: float = 0.0
    # The number of its entry in the heap of the flows that have jobs; None: it has none.
    ticket: int | None = None


@dataclass(eq=False)
class _Leaf:
    """Jobs in the order of their arrival. Forgotten ones stay until they are reached or cleaned up."""

    jobs: deque[Job] = field(default_factory=deque)
    count: int = 0
    seconds: float = 0.0

    def push(self, job: Job, path: Path) -> None:
        self.jobs.append(job)
        self.count += 1
        self.seconds += job.seconds

    def head(self) -> Job:
        while not self.jobs[0].waiting:
            self.jobs.popleft()
        return self.jobs[0]

    def pop(self) -> Job:
        job = self.head()
        self.jobs.popleft()
        self.count -= 1
        self.seconds -= job.seconds
        return job

    def forget(self, job: Job, path: Path) -> None:
        self.count -= 1
        self.seconds -= job.seconds
        if len(self.jobs) >= max(_PURGE_LENGTH, 2 * self.count):
            self.jobs = deque(each for each in self.jobs if each.waiting)

    def finish_seconds(self, seconds: float, path: Path) -> float:
        return self.seconds + seconds


class _Level:
    """Flows that share the time of the level above by their weights: the one whose next job starts first.

    Start times are those of Goyal, Vin and Cheng, "Start-time Fair Queueing", SIGCOMM 1996. Their virtual
    time stands still while new flows come with one job each, which would starve the others. So it goes on as
    in Demers, Keshav and Shenker, "Analysis and Simulation of a Fair Queueing Algorithm", SIGCOMM 1989: by
    the seconds that are taken, divided by the weights of the flows that wait.
    """

    def __init__(self) -> None:
        self.count = 0
        self.seconds = 0.0
        # The virtual time.
        self._now = 0.0
        self._flows: dict[Hashable, _Flow] = {}
        # The weights of the flows that have jobs.
        self._weights = 0.0
        self._order = count()
        self._active: list[tuple[float, int, _Flow]] = []
        # Flows without jobs; each is forgotten when the virtual time reaches its start.
        self._idle: list[tuple[float, int, _Flow]] = []

    def push(self, job: Job, path: Path) -> None:
        (key, weight), *rest = path
        flow = self._flows.get(key)
        if flow is None:
            flow = self._flows[key] = _Flow(key, weight, _Level() if rest else _Leaf())
        flow.inside.push(job, tuple(rest))
        self.count += 1
        self.seconds += job.seconds
        if flow.ticket is None:
            flow.start = max(flow.start, self._now)
            self._weights += flow.weight
            self._enter(flow)

    def head(self) -> Job:
        """Return the job that `pop` takes; there must be one."""
        return self._first().inside.head()

    def pop(self) -> Job:
        """Take the first job of the flow whose next job starts first; there must be one."""
        flow = self._first()
        job = flow.inside.pop()
        self.count -= 1
        self.seconds -= job.seconds
        self._now = max(self._now, flow.start) + job.seconds / self._weights
        flow.start += job.seconds / flow.weight
        heapq.heappop(self._active)
        if flow.inside.count:
            self._enter(flow)
        else:
            self._rest(flow)
        return job

    def forget(self, job: Job, path: Path) -> None:
        (key, _), *rest = path
        flow = self._flows[key]
        flow.inside.forget(job, tuple(rest))
        self.count -= 1
        self.seconds -= job.seconds
        if not flow.inside.count:
            self._rest(flow)

    def finish_seconds(self, seconds: float, path: Path) -> float:
        """Return the seconds of work until a new job of this cost ends, if no others arrive."""
        (key, weight), *rest = path
        flow = self._flows.get(key)
        if flow and rest:
            own = flow.inside.finish_seconds(seconds, tuple(rest))
        else:
            own = (flow.inside.seconds if flow else 0.0) + seconds
        weights = self._weights if flow and flow.ticket is not None else self._weights + weight
        return min(self.seconds + seconds, own * weights / weight)

    def _first(self) -> _Flow:
        """Return the flow whose next job starts first."""
        while True:
            _, ticket, flow = self._active[0]
            if flow.ticket == ticket:
                return flow
            heapq.heappop(self._active)

    def _enter(self, flow: _Flow) -> None:
        flow.ticket = next(self._order)
        heapq.heappush(self._active, (flow.start, flow.ticket, flow))

    def _rest(self, flow: _Flow) -> None:
        """Take a flow without jobs out of the active ones, and forget it once it has no more debt."""
        flow.ticket = None
        self._weights -= flow.weight
        if not self.count:
            # Who has had more than others does not matter when nobody waits.
            self._now, self._weights = 0.0, 0.0
            self._flows, self._active, self._idle = {}, [], []
            return
        heapq.heappush(self._idle, (flow.start, next(self._order), flow))
        while self._idle and self._idle[0][0] <= self._now:
            idle = heapq.heappop(self._idle)[2]
            if idle.ticket is None and idle.start <= self._now and self._flows.get(idle.key) is idle:
                del self._flows[idle.key]
        # Jobs that end in the queue, and flows that become active again, leave entries behind.
        longest = max(_PURGE_LENGTH, 2 * len(self._flows))
        if len(self._active) >= longest:
            self._active = [entry for entry in self._active if entry[2].ticket == entry[1]]
            heapq.heapify(self._active)
        if len(self._idle) >= longest:
            resting = (each for each in self._flows.values() if each.ticket is None)
            self._idle = [(each.start, next(self._order), each) for each in resting]
            heapq.heapify(self._idle)


class FairQueue:
    """Jobs that wait. A caller with many jobs does not delay the jobs of another by more than one of its own.

    Every operation takes O(log n) time in the number of callers. It is not safe to use from several threads.
    """

    def __init__(self) -> None:
        self._top = _Level()

    def __len__(self) -> int:
        """Return the number of jobs that wait."""
        return self._top.count

    @property
    def seconds(self) -> float:
        """The seconds of work that wait, as estimated when they were queued."""
        return self._top.seconds

    def push(self, job: Job) -> None:
        """Queue a job at its place."""
        job.waiting = True
        self._top.push(job, job.path)

    def head(self) -> Job | None:
        """Return the next job without taking it; None: there is none."""
        return self._top.head() if self._top.count else None

    def pop(self) -> Job:
        """Take the next job. Raises IndexError if there is none."""
        if not self._top.count:
            raise IndexError("the queue is empty")
        job = self._top.pop()
        job.waiting = False
        return job

    def forget(self, job: Job) -> None:
        """Drop a job that waits."""
        job.waiting = False
        self._top.forget(job, job.path)

    def finish_seconds(self, path: Path, seconds: float) -> float:
        """Return the seconds of work until a new job of this cost would end, if one worker did all work.

        `path` may be the first levels of one; then all jobs of the last level come before.
        """
        return self._top.finish_seconds(seconds, path)
