"""Direct calls with many requests: each is a job of its own, and its response is sent when it is ready."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Lock, Timer
from typing import Any, cast

from google.protobuf.message import Message

from spyglass_contract.errors import SpyglassError
from spyglass_contract.status_codes import status_code
from spyglass_server.access.entries import most_streams
from spyglass_server.engine.capacity.places import Place, Places
from spyglass_server.engine.observation import Observation
from spyglass_server.faults import public_error
from spyglass_server.interceptors.grpcio_calls import AnnouncedCall, PendingCall
from spyglass_server.interceptors.incoming import Incoming
from spyglass_server.observing.observers import Observers
from spyglass_server.request_id import request_id_of, using_request_id
from spyglass_server.servicers.context import is_ordered, new_call
from spyglass_server.servicers.direct.ending import Ending
from spyglass_server.servicers.direct.method import Method
from spyglass_server.servicers.entrance import Entrance
from spyglass_server.servicers.readiness import Readiness
from spyglass_server.servicers.stream_failures import StreamFailures


class StreamCalls:
    """The calls of one method."""

    def __init__(
        self,
        method: Method,
        readiness: Readiness,
        threads: ThreadPoolExecutor,
        streams: Places,
        observers: Observers,
        entrance: Entrance,
        *,
        window: int,
    ) -> None:
        """Each call has at most `window` requests in work; see `UnaryCalls` for `threads`."""
        self.method = method
        self.readiness = readiness
        self.threads = threads
        self.streams = streams
        self.observers = observers
        self.entrance = entrance
        self.window = window

    def refuse(self, announced: AnnouncedCall) -> bool:
        """Refuse no stream early: its requests wait."""
        return False

    def begin(self, pending: PendingCall, incoming: Incoming) -> None:
        """Take over a call whose first message, or its error, is there; must not block."""
        if self.readiness.is_open:
            self._start(pending, incoming)
        else:
            self.threads.submit(self._start, pending, incoming)

    def _start(self, pending: PendingCall, incoming: Incoming) -> None:
        stream = _Stream(self, pending, incoming)
        try:
            caller = stream.call.caller = self.entrance.caller(self.method.path, pending)
            self.readiness.check()
            place = self.streams.enter(caller.name, incoming.fail, most_streams(caller.identity))
        except SpyglassError as error:
            stream.ending.fail(error)
        else:
            stream.begin(place)


class _Stream:
    """One call. It reads requests while fewer than the window are in work.

    A request is in work until its caller takes the response. So a slow caller takes no thread, and no more
    memory.
    """

    def __init__(self, calls: StreamCalls, pending: PendingCall, incoming: Incoming) -> None:
        metadata = pending.metadata()
        self._calls = calls
        self._pending = pending
        self._incoming = incoming
        self._metadata = metadata
        self._observation = calls.observers.begin(
            Observation(calls.method.path, request_id_of(metadata), metadata, "stream")
        )
        self._request_id = self._observation.request_id
        self.ending = Ending(pending, incoming, self._observation, calls.observers)
        self.call = new_call(
            pending.peer(), metadata, pending.remaining(), patient=True, request_id=self._request_id
        )
        self.call.observation, self._observation.call = self._observation, self.call
        self._ordered = calls.method.ordered or is_ordered(metadata)
        self._failures = StreamFailures()
        self._lock = Lock()
        # Requests whose response was not taken yet.
        self._in_work = 0
        self._reading = True
        self._read = self._sent = 0
        self._sending = self._ended = False
        self._paused = False
        # Starts a request whose caller has sent too many.
        self._later: Timer | None = None
        # The stream ends without the responses to its requests.
        self._cut = False
        # The number of responses that were ready so far.
        self._made = 0
        # Responses by their place in the order of sending.
        self._ready: list[tuple[int, bytes]] = []
        # Why the stream ends early.
        self._error: Exception | None = None

    def begin(self, place: Place) -> None:
        """Handle the messages; the first one is there."""
        self._incoming.place = place
        place.works()
        self._incoming.when_failed = self._message
        if not self._pending.on_end(partial(self._gone, place)):
            self._gone(place)
            return
        identity = self.call.caller.identity
        streams = self._calls.entrance.gate.streams
        leave = streams.enter(identity, self._cut_off, self._pending.cancel)
        if not self._pending.on_end(leave):
            leave()
        self._message()

    def _cut_off(self, error: SpyglassError) -> None:
        """End the stream when its caller has taken the response that is on its way."""
        with self._lock:
            self._reading = False
            self._error = self._error or error
            self._cut = True
        self.call.cancel()
        self._go_on()

    def _gone(self, place: Place) -> None:
        """Clean up: the call has ended, perhaps because its caller has cancelled it."""
        self.call.cancel()
        self._calls.streams.leave(place)
        self._incoming.close()
        with self._lock:
            self._ready.clear()
            ended, self._ended = self._ended, True
            if self._later:
                self._later.cancel()
        if not ended:
            self._failures.log()
            self.ending.close("CANCELLED")

    def _message(self) -> None:
        """Take the message that has arrived, or the error."""
        small = self._calls.method.parse.is_small(self._incoming.peek())
        if small:
            self._take(small=True)
        else:
            self._calls.threads.submit(self._take, small=False)

    def _take(self, *, small: bool) -> None:
        with self._lock:
            if not self._reading:
                return
        try:
            data = self._incoming.next_message()
            request = None if data is None else self._calls.method.parse(data, small=small)
        except SpyglassError as error:
            self._stop(error)
            return
        if request is None:
            self._stop(None)
            return
        with self._lock:
            number = self._read
            self._read += 1
            self._in_work += 1
            self._observation.messages += 1
        begin = partial(self._begin, request, number, 0 if data is None else len(data))
        seconds = self._calls.entrance.reserve(self.call.caller, request, self._calls.method.cost)
        if seconds:
            self._begin_later(begin, seconds)
        else:
            begin()

    def _begin_later(self, begin: Callable[[], object], seconds: float) -> None:
        """Begin when the limits of the caller allow it; until then, read nothing."""
        later = Timer(seconds, begin)
        later.daemon = True
        with self._lock:
            if not self._ended:
                self._later = later
                later.start()

    def _begin(self, request: Any, number: int, request_bytes: int) -> None:
        """Start a request, and read the next one if there is room for it."""
        with self._lock:
            self._paused = self._in_work >= self._calls.window
            paused = self._paused
        self._start(request, number, request_bytes)
        if not paused:
            self._incoming.when_next(self._message)

    def _stop(self, error: Exception | None) -> None:
        """Read no further messages; the call ends when the responses to all others were sent."""
        with self._lock:
            self._reading = False
            self._error = self._error or error
        self._go_on()

    def _start(self, request: Any, number: int, request_bytes: int) -> None:
        message = Observation(self._calls.method.path, self._request_id, self._metadata, "message")
        observation = self._calls.observers.begin(message, self._observation)
        observation.request, observation.request_bytes = request, request_bytes
        observation.call = call = self.call.observed(observation)
        done = partial(self._done, observation, number)
        self._failures.count()
        try:
            self._calls.method.start(request, call, done)
        except Exception as error:
            done(None, error)

    def _done(self, observation: Observation, number: int, response: object, error: Exception | None) -> None:
        if error:
            message = self._failed(observation, error)
        else:
            message = cast(Message, response).SerializeToString()
            observation.answered(cast(Message, response), len(message))
            self._calls.observers.end(observation, "OK")
        with self._lock:
            if self._ended:
                return
            heapq.heappush(self._ready, (number if self._ordered else self._made, message))
            self._made += 1
        self._go_on()

    def _failed(self, observation: Observation, error: Exception) -> bytes:
        """Return the response that holds an error."""
        request, method = observation.request, self._calls.method
        with self._lock:
            self._observation.failed += 1
        self._failures.add(method.model_name(request), error)
        with using_request_id(self._request_id):
            public = public_error(error, self._request_id)
        self._calls.observers.end(observation, status_code(public), public.reason)
        return method.failed(request, public, self._request_id).SerializeToString()

    def _go_on(self) -> None:
        """Send the next response if none is on its way, or end the call if there is nothing left to do."""
        with self._lock:
            if self._sending or self._ended:
                return
            if self._cut:
                self._ready.clear()
                message = None
                self._ended = True
            elif self._ready and self._ready[0][0] == self._sent:
                message = heapq.heappop(self._ready)[1]
                self._sending = True
            elif self._reading or self._in_work:
                return
            else:
                message = None
                self._ended = True
        if message is None:
            self._end()
            return
        self._incoming.sending()
        # If the call has ended, `_gone` cleans up.
        self._pending.send(message, self._taken)

    def _taken(self) -> None:
        """Continue after the caller has taken a response."""
        self._incoming.answered()
        with self._lock:
            self._sending = False
            self._sent += 1
            self._in_work -= 1
            resumed = self._paused and self._reading
            self._paused = False
        if resumed:
            self._incoming.when_next(self._message)
        self._go_on()

    def _end(self) -> None:
        # Before the status: its line is in the log before that of the stream.
        self._failures.log()
        if self._error:
            self.ending.fail(self._error)
        else:
            self.ending.succeed()
