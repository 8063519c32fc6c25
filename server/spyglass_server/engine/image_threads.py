"""The threads that prepare images for a model and draw the results."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from threading import Condition
from traceback import clear_frames
from typing import Any, TypeVar

from spyglass_contract.errors import Cancelled, DeadlineExceeded
from spyglass_server.engine.call import Call

Result = TypeVar("Result")


@dataclass(eq=False)
class _Task:
    work: Callable[[], Any]
    done: Future[Any]
    running: bool = False
    # Nobody waits for its result any more.
    lost: bool = False


class ImageThreads:
    """A few threads, `count` of them at work, so that a hundred requests do not compete for the cores.

    A thread cannot be stopped. If the caller of its work has gone, another thread takes its turn, and up to
    `count` threads more finish such lost work.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._threads = ThreadPoolExecutor(2 * count, "image")
        self._changed = Condition()
        self._waiting: deque[_Task] = deque()
        self._tasks: dict[Future[Any], _Task] = {}
        # Threads at work, without those whose work is lost.
        self._busy = 0
        self._lost = 0

    @property
    def lost(self) -> int:
        """The number of threads that work on the image of a caller who has gone."""
        return self._lost

    def submit(self, work: Callable[[], Result]) -> Future[Result]:
        """Queue `work` for the next free thread."""
        task = _Task(work, Future())
        with self._changed:
            self._tasks[task.done] = task
            self._waiting.append(task)
            self._start_waiting()
        return task.done

    def run(self, call: Call, work: Callable[[], Result]) -> Result:
        """Run `work` on one of the threads and return its result.

        Raises DeadlineExceeded, Cancelled, and every error of `work`.
        """
        working = self.submit(work)
        return self.wait_for(call, working, working)

    def wait_for(self, call: Call, result: Future[Result], working: Future[Any]) -> Result:
        """Wait for `result`; if the call ends first, another thread takes the turn of `working`.

        Raises DeadlineExceeded, Cancelled, and the errors of `result`.
        """
        try:
            return call.wait(result)
        except (Cancelled, DeadlineExceeded):
            working.cancel()
            self._lose(working)
            raise

    def close(self) -> None:
        """Finish the queued work, then end the threads."""
        with self._changed:
            self._changed.wait_for(lambda: not self._tasks)
        self._threads.shutdown()

    def _start_waiting(self) -> None:
        while self._waiting and self._busy < self._count:
            task = self._waiting.popleft()
            if not task.done.set_running_or_notify_cancel():
                del self._tasks[task.done]
                continue
            task.running = True
            self._busy += 1
            self._threads.submit(self._run, task)
        if not self._tasks:
            self._changed.notify_all()

    def _lose(self, working: Future[Any]) -> None:
        with self._changed:
            task = self._tasks.get(working)
            if task and not task.running:
                # It would keep its image until its turn comes.
                self._waiting.remove(task)
                del self._tasks[working]
                self._start_waiting()
            elif task and not task.lost and self._lost < self._count:
                task.lost = True
                self._lost += 1
                self._busy -= 1
                self._start_waiting()

    def _run(self, task: _Task) -> None:
        try:
            result = task.work()
        except BaseException as error:
            # The frames hold the image, and the future that holds the error: a cycle, and megabytes.
            clear_frames(error.__traceback__)
            self._finish(task)
            task.done.set_exception(error)
        else:
            self._finish(task)
            task.done.set_result(result)

    def _finish(self, task: _Task) -> None:
        with self._changed:
            del self._tasks[task.done]
            if task.lost:
                self._lost -= 1
            else:
                self._busy -= 1
            self._start_waiting()
