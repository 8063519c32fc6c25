"""The worker processes: started, replaced when they end, and drained."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from spyglass_server.supervising.backoff import Backoff
from spyglass_server.supervising.worker_process import WorkerProcess

_log = logging.getLogger(__name__)


class WorkerFailed(Exception):
    """A worker could not start when the server did."""


@dataclass
class _Place:
    """One worker, and the one that replaces it."""

    number: int
    process: WorkerProcess | None = None
    # When the process became ready, by `time.monotonic`; 0: it is not.
    ready_since: float = 0.0
    # Whether any process of this place has served.
    served: bool = False
    starts_at: float | None = None
    backoff: Backoff = field(default_factory=Backoff)


class Crew:
    """`count` workers. Not safe for several threads, except for what says otherwise."""

    def __init__(
        self,
        count: int,
        start: Callable[[int], WorkerProcess],
        ended: Callable[[int], object],
    ) -> None:
        """`start` makes the worker of a number, from 1 on; `ended` is called when one has ended."""
        self._start = start
        self._ended = ended
        self._places = [_Place(number + 1) for number in range(count)]
        self._all_served = False
        self.replaced = 0
        """How many workers have been replaced; from any thread."""

    @property
    def serving(self) -> tuple[int, ...]:
        """The numbers of the workers that serve; from any thread."""
        return tuple(each.number for each in self._places if each.ready_since)

    @property
    def running(self) -> list[WorkerProcess]:
        """The processes that have not ended."""
        return [each.process for each in self._places if each.process and each.process.code is None]

    def look(self) -> float | None:
        """Replace the workers that have ended, and return the seconds until `look` has something to do.

        None: nothing until a worker changes. The first worker starts alone, so that settings and models with
        an error are reported once, and that it leaves its caches to the others. Raises WorkerFailed if a
        worker ends that has never served.
        """
        for place in self._places:
            self._check(place)
        first, *others = self._places
        if first.process is None and first.starts_at is None:
            self._begin(first)
        elif first.served:
            for place in others:
                if place.process is None and place.starts_at is None:
                    self._begin(place)
        due = [place for place in self._places if place.starts_at is not None]
        for place in due:
            if place.starts_at is not None and place.starts_at <= time.monotonic():
                self.replaced += 1
                self._begin(place)
        if not self._all_served and all(place.served for place in self._places):
            self._all_served = True
            _log.info("all %d workers serve", len(self._places))
        waiting = [place.starts_at for place in self._places if place.starts_at is not None]
        return max(0.0, min(waiting) - time.monotonic()) if waiting else None

    def _begin(self, place: _Place) -> None:
        place.starts_at = None
        place.process = self._start(place.number)

    def _check(self, place: _Place) -> None:
        process = place.process
        if process is None:
            return
        if process.ready and not place.ready_since:
            place.ready_since = time.monotonic()
            place.served = True
        if process.code is None:
            return
        served = time.monotonic() - place.ready_since if place.ready_since else 0.0
        place.process, place.ready_since = None, 0.0
        self._ended(place.number)
        if not place.served:
            raise WorkerFailed(f"worker {place.number} could not start: {process.end}")
        pause = place.backoff.after(served)
        place.starts_at = time.monotonic() + pause
        _log.log(
            logging.INFO if process.code == 0 else logging.ERROR,
            "worker %d has ended with %s: another one starts%s",
            place.number,
            process.end,
            f" in {pause:g} s" if pause else "",
        )
