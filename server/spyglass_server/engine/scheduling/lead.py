"""Light jobs, run by the thread that receives their messages: no other thread is woken for them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from spyglass_server.engine.scheduling.workers import Workers

# A leader whose jobs take longer than this is replaced, and nobody leads for a while.
_STUCK_SECONDS = 0.05
_PAUSE_SECONDS = 30.0


class Lead:
    """Lets one thread, the leader, run the light jobs that it queues itself, when it has nothing else to do.

    Python runs one thread at a time. For a job that takes a fraction of a millisecond, waking a worker and
    sharing the interpreter with it costs as much as the job.
    """

    def __init__(self, workers: Workers) -> None:
        self._workers = workers
        self._leader: int | None = None
        self._replace: Callable[[], object] = lambda: None
        self._busy_since: float | None = None
        # When it had light jobs to run first, or when the last ones ended.
        self._wanted_since = 0.0
        self._paused_until = 0.0
        self.wanted = False
        """Whether the leader should call `run`, once it has received what there is."""

    def begin(self, replace: Callable[[], object]) -> None:
        """Make the calling thread the leader. `replace` starts another one; it must not block."""
        self._leader, self._replace = threading.get_ident(), replace
        self._busy_since = None
        self.wanted = False

    @property
    def is_mine(self) -> bool:
        """Whether the calling thread is the leader, and has not been replaced."""
        return self._leader == threading.get_ident()

    @property
    def is_busy(self) -> bool:
        """Whether the leader runs jobs now."""
        return self._busy_since is not None

    def end(self) -> None:
        """Have no leader any more, if the calling thread is it."""
        if self.is_mine:
            self._leader = None

    def takes(self) -> bool:
        """Return whether the calling thread will run a light job that it queues now; see `run`."""
        now = time.monotonic()
        if not self.is_mine or now < self._paused_until:
            return False
        if not self.wanted:
            self.wanted, self._wanted_since = True, now
        return True

    def run(self) -> None:
        """Run the next light jobs, if they are first in the queue."""
        self._busy_since = time.monotonic()
        more = self._workers.run_light(self._wanted_since)
        self._wanted_since = time.monotonic()
        if self.is_mine:
            self._busy_since, self.wanted = None, more

    def watch(self) -> bool:
        """Replace a leader that is stuck in a job, and return whether it was.

        Then nobody leads for a while, so the jobs that it has queued need a worker.
        """
        since, now = self._busy_since, time.monotonic()
        if since is None or now - since <= _STUCK_SECONDS:
            return False
        self._busy_since = self._leader = None
        self._paused_until = now + _PAUSE_SECONDS
        self._replace()
        return True
