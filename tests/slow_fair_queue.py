"""A fair queue as one would write it down: no heaps, nothing that is cleaned up later, O(n) for each step."""

from __future__ import annotations

from collections.abc import Hashable
from itertools import count

from spyglass_server.engine.scheduling.job import Job

Flow = tuple[Hashable, ...]
"""The keys of a flow from the top level; () is the whole queue."""


class SlowFairQueue:
    """Start-time fair queueing on each level, with the virtual time of weighted fair queueing.

    A flow's next job starts at the flow's virtual time. The virtual time of a level goes on with the work
    that is taken, divided among the flows that wait. A level without jobs forgets what was.
    """

    def __init__(self) -> None:
        self._jobs: list[Job] = []
        # Virtual times in seconds: of the next job of a flow, and of the level inside of it.
        self._starts: dict[Flow, float] = {}
        self._now: dict[Flow, float] = {}
        # Of flows with equal starts, the one that entered first is first.
        self._entered: dict[Flow, int] = {}
        self._order = count()

    def __len__(self) -> int:
        return len(self._jobs)

    @property
    def seconds(self) -> float:
        return sum(job.seconds for job in self._jobs)

    def push(self, job: Job) -> None:
        for flow in _flows(job):
            if not self._inside(flow):
                start = max(self._starts.get(flow, 0.0), self._now.get(flow[:-1], 0.0))
                self._starts[flow], self._entered[flow] = start, next(self._order)
        self._jobs.append(job)

    def head(self) -> Job | None:
        flow: Flow = ()
        for depth in range(4):
            flows = {_flows(job)[depth] for job in self._inside(flow)}
            if not flows:
                return None
            flow = min(flows, key=lambda each: (self._starts[each], self._entered[each]))
        return self._inside(flow)[0]

    def pop(self) -> Job:
        job = self.head()
        if job is None:
            raise IndexError
        for depth, flow in enumerate(_flows(job)):
            weights = {_flows(each)[depth]: each.path[depth][1] for each in self._inside(flow[:-1])}
            now = max(self._now.get(flow[:-1], 0.0), self._starts[flow])
            self._now[flow[:-1]] = now + job.seconds / sum(weights.values())
            self._starts[flow] += job.seconds / job.path[depth][1]
            self._entered[flow] = next(self._order)
        self.forget(job)
        return job

    def forget(self, job: Job) -> None:
        self._jobs.remove(job)
        for flow in ((), *_flows(job)):
            if not self._inside(flow):
                self._now.pop(flow, None)
                for inner in [each for each in self._starts if each[:-1] == flow]:
                    del self._starts[inner]

    def _inside(self, flow: Flow) -> list[Job]:
        return [job for job in self._jobs if flow in ((), *_flows(job))]


def _flows(job: Job) -> list[Flow]:
    keys = tuple(key for key, _ in job.path)
    return [keys[:depth] for depth in range(1, 5)]
