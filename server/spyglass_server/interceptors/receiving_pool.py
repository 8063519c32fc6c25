"""The pool that gives a call its thread when its first message has arrived."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Lock
from typing import Any, Protocol

from spyglass_contract.errors import SpyglassError
from spyglass_server.engine.capacity.places import Place, Places
from spyglass_server.engine.capacity.reading import Reading
from spyglass_server.interceptors.grpcio_calls import AnnouncedCall, PendingCall, caller_of
from spyglass_server.interceptors.incoming import Incoming

Begin = Callable[[PendingCall, Incoming], object]
"""Takes over a call whose first message, or its error, is there; must not block."""


class Direct(Protocol):
    """What takes over the calls of a method in place of its behaviour. Its methods must not block."""

    def refuse(self, announced: AnnouncedCall) -> bool:
        """End a call before anything else happens, if it would be refused; return whether it has ended."""

    def begin(self, pending: PendingCall, incoming: Incoming) -> None:
        """Take over a call whose first message, or its error, is there."""


_DONE: Future[Any] = Future()
_DONE.set_result(None)


class ReceivingPool(ThreadPoolExecutor):
    """Submits a call to `threads` when its first message has arrived or the call must end with an error."""

    def __init__(
        self, threads: ThreadPoolExecutor, receptions: Places, reading: Reading | None = None
    ) -> None:
        """`reading` decides when the server reads from a call; None: at once."""
        super().__init__(1)
        self._target = threads
        self._receptions = receptions
        self._reading = reading

    def submit(self, function: Callable[..., Any], /, *arguments: Any, **keywords: Any) -> Future[Any]:
        """Submit a call; must not block: grpcio holds its locks, and this is the thread of all its events."""
        behaviour: Any = arguments[3] if len(arguments) > 3 else None
        pending = PendingCall.of(arguments)
        if pending and (begin := getattr(behaviour, "begin", None)):
            return self._receive(pending, behaviour.new_incoming(), _DirectRun(begin, self._target))
        incoming = getattr(behaviour, "incoming", None)
        if incoming is None or pending is None:
            return self._target.submit(function, *arguments, **keywords)
        return self._receive(pending, incoming, _PooledRun(lambda: self._target.submit(function, *arguments)))

    def _receive(self, pending: PendingCall, incoming: Incoming, run: _Run) -> Future[Any]:
        incoming.pending = pending
        reception = _Reception(incoming, run)
        try:
            place = self._receptions.enter(caller_of(pending.peer()), reception.give_up)
        except SpyglassError as error:
            reception.give_up(error)
        else:
            reception.start(pending, self._receptions, place, self._reading)
        return run.done


class _Run(Protocol):
    """What happens to a call whose first message, or its error, is there."""

    done: Future[Any]
    """grpcio uses it only to count the calls that are done."""

    def start(self, incoming: Incoming, *, here: bool) -> None:
        """Go on with the call; `here`: this thread may do it."""


class _DirectRun:
    """The call is taken over, by this thread or by one of `threads`."""

    done = _DONE

    def __init__(self, begin: Begin, threads: ThreadPoolExecutor) -> None:
        self._begin = begin
        self._threads = threads

    def start(self, incoming: Incoming, *, here: bool) -> None:
        if not incoming.pending:
            return
        if here:
            self._begin(incoming.pending, incoming)
            return
        try:
            self._threads.submit(self._begin, incoming.pending, incoming)
        except RuntimeError:
            # The threads have ended, and with them the server.
            incoming.close()


class _PooledRun:
    """grpcio runs the behaviour on a thread of the pool."""

    def __init__(self, submit: Callable[[], Future[Any]]) -> None:
        self.done: Future[Any] = Future()
        self._submit = submit

    def start(self, incoming: Incoming, *, here: bool) -> None:
        try:
            self._submit().add_done_callback(lambda _: self.done.set_result(None))
        except RuntimeError:
            # The threads have ended, and with them the server.
            incoming.close()
            self.done.set_result(None)


class _Reception:
    """The wait for the first message of one call."""

    def __init__(self, incoming: Incoming, run: _Run) -> None:
        self._incoming = incoming
        self._run = run
        self._lock = Lock()
        self._started = False
        # Called when the call goes on: each gives one of its places back.
        self._leave: list[Callable[[], None]] = []

    def start(self, pending: PendingCall, receptions: Places, place: Place, reading: Reading | None) -> None:
        self._leave.append(lambda: receptions.leave(place))
        if reading is None:
            self._incoming.ask(pending, self._arrived)
            return
        reader = reading.enter(lambda: self._incoming.ask(pending, self._arrived), self.give_up)
        self._leave.append(lambda: reading.leave(reader))
        if self._started:
            reading.leave(reader)

    def give_up(self, error: SpyglassError) -> None:
        """End the call with an error. grpcio's locks may be held, so another thread does it."""
        self._incoming.fail(error)
        self._start(here=False)

    def _arrived(self) -> None:
        self._start(here=True)

    def _start(self, *, here: bool) -> None:
        with self._lock:
            if self._started:
                return
            self._started = True
        for leave in self._leave:
            leave()
        self._run.start(self._incoming, here=here)
