"""The threads that do all work on images: they decode, run networks, and make responses."""

from __future__ import annotations

import time
from collections.abc import Callable
from math import ceil
from threading import Condition, Event, Lock, Thread, current_thread

from spyglass_contract.errors import DeadlineExceeded, Overloaded, Unavailable
from spyglass_server.engine.call import Call
from spyglass_server.engine.models.model import Model
from spyglass_server.engine.scheduling.admission import SEND_SECONDS, Admission, Bounds
from spyglass_server.engine.scheduling.batch import run_batch
from spyglass_server.engine.scheduling.fair_queue import FairQueue
from spyglass_server.engine.scheduling.job import Done, Job, path_of
from spyglass_server.engine.scheduling.lead import Lead
from spyglass_server.engine.scheduling.service_times import ServiceTimes
from spyglass_server.engine.work import Work

# How often the deadlines of the jobs inside are checked.
_DEADLINE_SECONDS = 0.02
# If a light job has waited for so long while a worker was free, the leader has other things to do.
_NEGLECTED_SECONDS = 0.1


class _Worker:
    """One thread. The one that became free last gets the next job: its stack and caches are warm."""

    def __init__(self) -> None:
        # None: a thread that is a worker for one batch only.
        self.thread: Thread | None = None
        # Released when there is a job for a parked worker.
        self.wake = Lock()
        self.wake.acquire()
        self.parked = False
        self.batch: list[tuple[Job, Work]] = []
        # Of the batch: when it was taken, the seconds that it should take, and the works whose images ran.
        self.taken = 0.0
        self.expected_seconds = 0.0
        self.ran: list[Work] = []
        # The processor time of the thread for the batch.
        self.cpu_seconds = 0.0
        # All its jobs had ended when they were looked at last.
        self.ended = False
        # Nobody waits for its work any more, and another thread has its turn.
        self.lost = False

    def run(self, alone: Callable[[], bool]) -> None:
        """Run the batch; see `run_batch`."""
        before = time.thread_time()
        try:
            self.ran = run_batch(self.batch, alone)
        # A fault of the server's own: the callers hear of it, and the thread goes on.
        except Exception as error:
            for job, _ in self.batch:
                job.end(error=error)
        self.cpu_seconds = time.thread_time() - before


class Workers:
    """`count` threads at work. They share a fair queue, and take batches from it that never wait to fill.

    A thread cannot be stopped. If the callers of all its jobs have gone, another thread takes its turn, and
    up to `count` threads more finish such lost work.
    """

    def __init__(self, count: int, bounds: Bounds) -> None:
        self.count = count
        self._queue = FairQueue()
        self._times = ServiceTimes()
        self._admission = Admission(bounds, self._queue, count)
        self._lock = Lock()
        self._no_jobs = Condition(self._lock)
        self._jobs: dict[Job, None] = {}
        self._some = Event()
        self._idle: list[_Worker] = []
        # Workers that were woken and have not looked at the queue yet.
        self._waking = 0
        self._busy: set[_Worker] = set()
        self._lost = 0
        self._closed = False
        self._last_progress = time.monotonic()
        self.lead = Lead(self)
        self._threads: set[Thread] = set()
        for _ in range(count):
            self._start_thread()
        Thread(target=self._watch_deadlines, name="deadlines", daemon=True).start()

    def expect(self, model: Model, like: Model) -> None:
        """Expect that the works of a model take as long as those of another one, until they have run."""
        with self._lock:
            self._times.expect(id(model), id(like))

    def forget(self, model: int) -> None:
        """Forget what is known of the model with this `id`."""
        with self._lock:
            self._times.forget(model)

    @property
    def inside(self) -> int:
        """The number of requests that wait or run."""
        return self._admission.inside

    @property
    def queued(self) -> int:
        """The number of requests that wait."""
        return len(self._queue)

    @property
    def queued_seconds(self) -> float:
        """The time that the waiting requests should take one worker, in seconds."""
        # A sum of many numbers and their opposites is not exactly 0.
        return max(0.0, self._queue.seconds)

    @property
    def admitted(self) -> int:
        """The number of requests that have come in since the start."""
        return self._admission.admitted

    @property
    def lost(self) -> int:
        """The number of threads whose callers have all gone."""
        return self._lost

    @property
    def stalled_seconds(self) -> float:
        """Return for how long requests have waited while none ended or began; 0 if none waits."""
        with self._lock:
            return time.monotonic() - self._last_progress if len(self._queue) else 0.0

    def submit(self, work: Work, call: Call, done: Done) -> None:
        """Queue a work; its response or its error goes to `done`, in any thread.

        Raises Overloaded if it would wait too long, Unavailable once closed, and the error of a call that is
        over; then `done` is not called.
        """
        call.remaining()
        job = Job(work, call, done, self._times.expected(work), self._release)
        job.light = self._times.is_light(work)
        job.further_seconds = self._times.further(work)
        with self._lock:
            if self._closed:
                raise Unavailable("the model is being unloaded", reason="DRAINING")
            seconds = job.seconds + job.further_seconds
            free = len(self._idle) + self._waking
            job.at_once = self._admission.check(call, job.path, seconds, free)
            self._admission.enter(job)
            self._push(job)
        job.watch()

    @property
    def is_crowded(self) -> bool:
        """Whether so much work waits that the next call may be refused."""
        return self._admission.is_crowded

    def check(self, call: Call) -> None:
        """Raise Overloaded if the next work of a call would most probably be refused.

        It takes little time, so that a crowded server can refuse calls whose work it does not know yet.
        """
        if not self.is_crowded:
            return
        path, seconds = path_of(call), self._times.mean
        with self._lock:
            self._admission.check(call, path, seconds, len(self._idle) + self._waking)

    def submit_further(self, work: Work, job: Job, done: Done) -> None:
        """Queue a work that a job inside needs, at the job's place among the callers; it is not refused."""
        further = Job(work, job.call, done, self._times.expected(work), self._release)
        with self._lock:
            self._push(further)
        further.watch()

    def record_further(self, work: Work, seconds: float) -> None:
        """Note how many seconds of one worker the further works of a work took, shared by all workers."""
        with self._lock:
            self._times.record_further(work, seconds / self.count)

    def close(self) -> None:
        """Finish the jobs inside, then end the threads."""
        with self._lock:
            self._closed = True
            self._no_jobs.wait_for(lambda: not self._jobs)
            idle, self._idle = self._idle, []
            threads = list(self._threads)
        self._some.set()
        for worker in idle:
            worker.wake.release()
        for thread in threads:
            thread.join()

    def _push(self, job: Job) -> None:
        self._jobs[job] = None
        if not len(self._queue):
            self._last_progress = time.monotonic()
        self._queue.push(job)
        if not (job.light and self.lead.takes()):
            self._wake()
        if not self._some.is_set():
            self._some.set()

    def _wake(self) -> None:
        if self._idle:
            self._waking += 1
            self._idle.pop().wake.release()

    def run_light(self, since: float) -> bool:
        """Run the next jobs in the calling thread if they are light; return whether there may be more.

        The thread has had light jobs to run since the monotonic time `since`, and other things to do.
        """
        worker = _Worker()
        with self._lock:
            job = self._queue.head()
            if job is None:
                return False
            if not job.light:
                # Light ones may wait behind it.
                self._wake()
                return False
            late = self._begin_batch(worker)
        for job in late:
            job.end(error=_too_late(job))
        worker.run(lambda: False)
        with self._lock:
            # One thread does what is expected of all workers.
            self._put_down(worker, (time.monotonic() - since) * self.count)
            return bool(len(self._queue))

    def _release(self, job: Job) -> None:
        """Count a job out, whichever way it ended."""
        with self._lock:
            self._last_progress = time.monotonic()
            del self._jobs[job]
            self._admission.leave(job)
            if job.waiting:
                self._queue.forget(job)
            if self._closed and not self._jobs:
                self._no_jobs.notify_all()

    def _start_thread(self) -> None:
        worker = _Worker()
        thread = Thread(target=self._work, args=[worker], name="worker", daemon=True)
        worker.thread = thread
        self._threads.add(thread)
        thread.start()

    def _work(self, worker: _Worker) -> None:
        while self._next_jobs(worker):
            if worker.parked:
                worker.wake.acquire()
            elif worker.batch:
                worker.run(self._is_alone)
        self._threads.discard(current_thread())

    def _is_alone(self) -> bool:
        """Return whether only one worker has work. The answer may be old at once, so it takes no lock."""
        return len(self._busy) <= 1 and not len(self._queue)

    def _next_jobs(self, worker: _Worker) -> bool:
        """Give a worker its next jobs, or put it among the idle ones; False: its thread ends."""
        with self._lock:
            self._put_down(worker)
            if worker.lost:
                self._lost -= 1
                return False
            late = self._begin_batch(worker)
            if worker.batch:
                self._busy.add(worker)
            elif self._closed and not self._jobs:
                return False
            elif not late:
                worker.parked = True
                self._idle.append(worker)
        for job in late:
            job.end(error=_too_late(job))
        return True

    def _put_down(self, worker: _Worker, paced: float = 0.0) -> None:
        """Note that a worker has finished its batch, or was woken.

        `paced` is how many seconds it takes until the next batch begins, if that is longer than the batch.
        """
        if worker.parked:
            worker.parked = False
            self._waking = max(0, self._waking - 1)
        self._busy.discard(worker)
        if worker.ran:
            taken = time.monotonic() - worker.taken
            for work in worker.ran:
                self._times.record(work, taken / len(worker.ran), worker.cpu_seconds / len(worker.ran))
            self._admission.learn(worker.expected_seconds, max(taken, paced))
        worker.batch, worker.ran = [], []
        self._admission.running_seconds -= worker.expected_seconds
        worker.expected_seconds = 0.0

    def _begin_batch(self, worker: _Worker) -> list[Job]:
        """Give a worker its next batch, if there is one; return the jobs that are too late to be begun."""
        late = self._take(worker)
        worker.expected_seconds = sum(job.seconds for job, _ in worker.batch)
        self._admission.running_seconds += worker.expected_seconds
        worker.taken = time.monotonic()
        return late

    def _take(self, worker: _Worker) -> list[Job]:
        """Give a worker its next batch, and return the jobs that are too late to be begun."""
        late: list[Job] = []
        worker.ended = False
        while job := self._next_of(worker):
            self._last_progress = time.monotonic()
            if _is_hopeless(job):
                late.append(job)
            # A job that another thread ends at this moment has lost its work.
            elif work := job.work:
                worker.batch.append((job, work))
        return late

    def _next_of(self, worker: _Worker) -> Job | None:
        """Take the next job for a worker; None: it leaves them to free workers, or its batch is full."""
        if not worker.batch:
            return self._queue.pop() if len(self._queue) else None
        (first, work), size = worker.batch[0], len(worker.batch)
        share = ceil((size + len(self._queue)) / (1 + len(self._idle) + self._waking))
        return self._queue.pop_for(first.batch_key) if size < min(work.model.max_batch, share) else None

    def _watch_deadlines(self) -> None:
        """End the jobs whose deadlines have passed, until the workers are closed."""
        while True:
            self._some.wait()
            with self._lock:
                if self._closed and not self._jobs:
                    return
                jobs = list(self._jobs)
                if not jobs and not self._busy and not self.lead.is_busy:
                    self._some.clear()
            now = time.monotonic()
            for job in jobs:
                if job.call.deadline is not None and job.call.deadline <= now:
                    job.end(error=DeadlineExceeded("the deadline passed before the response was ready"))
            replaced = self.lead.watch()
            with self._lock:
                if replaced or self._is_neglected(now):
                    self._wake()
                self._replace_lost()
            time.sleep(_DEADLINE_SECONDS)

    def _is_neglected(self, now: float) -> bool:
        """Return whether the next job waits for the leader, which has had no time for it."""
        job = self._queue.head()
        return job is not None and job.light and now - job.queued > _NEGLECTED_SECONDS

    def _replace_lost(self) -> None:
        """Start a thread for each worker that still runs jobs which had all ended at the last look."""
        for worker in self._busy:
            ended = all(job.ended for job, _ in worker.batch)
            if ended and worker.ended and not worker.lost and self._lost < self.count:
                worker.lost = True
                # `close` does not wait for it: perhaps it never ends.
                self._threads -= {worker.thread}
                self._admission.running_seconds -= worker.expected_seconds
                worker.expected_seconds = 0.0
                self._lost += 1
                self._start_thread()
            worker.ended = ended


def _is_hopeless(job: Job) -> bool:
    """Return whether a job that has waited would end after its deadline, by the time that it should take."""
    # The time is an estimate: if no job were begun, no run would correct it.
    if job.call.deadline is None or job.at_once:
        return False
    return job.call.deadline - time.monotonic() < job.seconds + job.further_seconds + SEND_SECONDS


def _too_late(job: Job) -> Overloaded:
    return Overloaded(
        "the call has less time left than its image takes",
        reason="DEADLINE_TOO_SHORT",
        retry_after=max(job.seconds, _DEADLINE_SECONDS),
    )
