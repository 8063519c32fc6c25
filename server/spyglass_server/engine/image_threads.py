"""The threads that prepare images for a model and draw the results."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any, TypeVar

from spyglass_contract.errors import Cancelled, DeadlineExceeded
from spyglass_server.engine.call import Call

Result = TypeVar("Result")


class ImageThreads:
    """A few threads, one for each processor, so that a hundred requests do not compete for the cores."""

    def __init__(self, count: int) -> None:
        self._threads = ThreadPoolExecutor(count, "image")

    def submit(self, work: Callable[[], Result]) -> Future[Result]:
        """Queue `work` for the next free thread."""
        return self._threads.submit(work)

    def run(self, call: Call, work: Callable[[], Result]) -> Result:
        """Run `work` on one of the threads and return its result.

        Raises DeadlineExceeded, Cancelled, and every error of `work`.
        """
        working = self.submit(work)
        return wait_for(call, working, working)

    def close(self) -> None:
        """Finish the queued work, then end the threads."""
        self._threads.shutdown()


def wait_for(call: Call, result: Future[Result], working: Future[Any]) -> Result:
    """Wait for `result`; if the call ends first, also wait until `working` has left its thread.

    So the caller of this function holds its permit for as long as a thread works on its image.
    Raises DeadlineExceeded, Cancelled, and the errors of `result`.
    """
    try:
        return call.wait(result)
    except (Cancelled, DeadlineExceeded):
        wait([working])
        raise
