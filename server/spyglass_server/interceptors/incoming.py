"""The messages of one call, as bytes."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from threading import Condition

from spyglass_contract.errors import SpyglassError
from spyglass_server.engine.capacity.byte_budget import ByteBudget
from spyglass_server.engine.capacity.places import Place
from spyglass_server.interceptors.grpcio_calls import PendingCall


class Incoming:
    """The request messages of one call; only one thread at a time may call `next_message`.

    Their bytes count in `budget` from their arrival until `answered` or `close`.
    """

    def __init__(self, budget: ByteBudget) -> None:
        self._budget = budget
        # None: grpcio itself receives the messages and passes them through `iterator`.
        self.pending: PendingCall | None = None
        self.iterator: Iterator[bytes] = iter(())
        # The place of a stream among the streams.
        self.place: Place | None = None
        # Called when `fail` was; it must not block.
        self.when_failed: Callable[[], object] = lambda: None
        self._changed = Condition()
        self._received: deque[bytes | None] = deque()
        self._asked = self._ended = self._closed = self._sending = False
        # The sizes of the messages that were received and have no response yet.
        self._sizes: deque[int] = deque()
        self._error: SpyglassError | None = None

    def next_message(self) -> bytes | None:
        """Wait for the next message and return it; None: there are no more. Raises the error of `fail`."""
        if self.pending is None:
            message = next(self.iterator, None)
            self._count(message)
            return message
        if not self._asked:
            self._budget.wait_until_free(lambda: not self._closed and self._error is None)
        self.ask(self.pending, always=True)
        with self._changed:
            if not self._received:
                self._changed.wait_for(lambda: self._received or self._error or self._closed)
            if self._closed:
                return None
            if self._error:
                raise self._error
            self._asked = False
            return self._received.popleft()

    def peek(self) -> bytes | None:
        """Return the message that has arrived without taking it; None: there is none."""
        return self._received[0] if self._received else None

    def when_next(self, then: Callable[[], object]) -> None:
        """Ask for the next message of a stream once there is memory for it, and run `then` when it is here.

        Then `next_message` does not block.
        """

        def ask() -> None:
            if self.pending:
                self.ask(self.pending, then, always=True)

        self._budget.when_free(ask)

    def ask(
        self, pending: PendingCall, then: Callable[[], object] | None = None, *, always: bool = False
    ) -> None:
        """Start to receive the next message, unless that has started; `then` runs when it has arrived.

        Unless `always`, a message that exceeds the budget is refused.
        """
        if self._asked:
            return
        self._asked = True

        def received(message: bytes | None) -> None:
            with self._changed:
                # The first message is refused if it exceeds the budget. The server requests later ones only
                # while the budget has free bytes, and at most one at a time for each stream.
                self._count(message, always=always)
                if not self._error:
                    self._received.append(message)
                self._changed.notify_all()
            if then:
                then()

        pending.receive(received)

    def fail(self, error: SpyglassError) -> None:
        """Make `next_message` raise `error` from now on, and end a call whose caller reads no responses."""
        with self._changed:
            self._error = self._error or error
            # Free the memory of the messages that will not be read.
            self._received.clear()
            self._changed.notify_all()
        if self._sending and self.pending:
            self.pending.cancel()
        self.when_failed()

    def sending(self) -> None:
        """Record that a response is being sent: the call waits for its caller until the caller takes it."""
        self._sending = True
        self._note()

    def answered(self) -> None:
        """Record that the caller took the response to a request, or that the request needs none."""
        self._sending = False
        with self._changed:
            if self._sizes:
                self._budget.give_back(self._sizes.popleft())
        self._note()

    def close(self) -> None:
        """Give back the bytes of the messages; may be called again."""
        with self._changed:
            self._closed = True
            while self._sizes:
                self._budget.give_back(self._sizes.popleft())
            self._received.clear()
            # The traceback of the error holds this object: without a cycle, all memory is freed at once.
            self._error = None
            self._changed.notify_all()

    def _count(self, message: bytes | None, *, always: bool = True) -> None:
        self._ended = message is None
        if message is None or self._closed or self._error:
            return
        try:
            self._budget.take(len(message), always=always)
        except SpyglassError as error:
            # The traceback holds this frame, and the frame holds the message.
            self._error = error.with_traceback(None)
            return
        self._sizes.append(len(message))
        self._note()

    def _note(self) -> None:
        """Update the place: record whether the call waits for its caller."""
        if self.place:
            idle = not self._sizes and not self._ended
            self.place.since = time.monotonic() if self._sending or idle else None
