"""The pool that gives a call its thread when its first message has arrived."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Lock
from typing import Any

from spyglass_contract.errors import SpyglassError
from spyglass_server.engine.capacity.places import Place, Places
from spyglass_server.engine.capacity.reading import Reading
from spyglass_server.interceptors.grpcio_receive import PendingCall, caller_of
from spyglass_server.interceptors.incoming import Incoming


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
        incoming = getattr(arguments[3], "incoming", None) if len(arguments) > 3 else None
        pending = PendingCall.of(arguments)
        if incoming is None or pending is None:
            return self._target.submit(function, *arguments, **keywords)
        reception = _Reception(incoming, lambda: self._target.submit(function, *arguments))
        try:
            place = self._receptions.enter(caller_of(pending.peer()), reception.give_up)
        except SpyglassError as error:
            incoming.pending = pending
            reception.give_up(error)
        else:
            reception.start(pending, self._receptions, place, self._reading)
        return reception.done


class _Reception:
    """The wait for the first message of one call."""

    def __init__(self, incoming: Incoming, run: Callable[[], Future[Any]]) -> None:
        # grpcio uses this future only to count the calls that are done.
        self.done: Future[Any] = Future()
        self._incoming = incoming
        self._run = run
        self._lock = Lock()
        self._submitted = False
        # Called when the call gets its thread: each gives one of its places back.
        self._leave: list[Callable[[], None]] = []

    def start(self, pending: PendingCall, receptions: Places, place: Place, reading: Reading | None) -> None:
        self._incoming.pending = pending
        self._leave.append(lambda: receptions.leave(place))
        if reading is None:
            self._incoming.ask(pending, self._submit)
            return
        reader = reading.enter(lambda: self._incoming.ask(pending, self._submit), self.give_up)
        self._leave.append(lambda: reading.leave(reader))
        if self._submitted:
            reading.leave(reader)

    def give_up(self, error: SpyglassError) -> None:
        self._incoming.fail(error)
        self._submit()

    def _submit(self) -> None:
        with self._lock:
            if self._submitted:
                return
            self._submitted = True
        for leave in self._leave:
            leave()
        try:
            self._run().add_done_callback(lambda _: self.done.set_result(None))
        except RuntimeError:
            # The threads have ended, and with them the server.
            self._incoming.close()
            self.done.set_result(None)
