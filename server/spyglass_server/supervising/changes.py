"""The supervisor's part in changes of the models: every worker makes them, also one that starts later."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from zlib import crc32

from spyglass.v1.admin_pb2 import ListVersionsResponse, ReloadResponse
from spyglass_contract.errors import DeadlineExceeded, NotFound, SpyglassError, Unavailable
from spyglass_server.supervising.change import LIST, RELOAD, ROUTES, UNLOAD, Change
from spyglass_server.supervising.control import ControlClient, Method
from spyglass_server.supervising.journal import Journal
from spyglass_server.supervising.task import worker_socket
from spyglass_server.supervising.version_states import joined_states

_log = logging.getLogger(__name__)

# Changes in progress; further ones wait.
_AT_ONCE = 16
# Loads and unloads of models whose names share a lock follow each other.
_LOCKS = 16
# How long a worker may take to list its versions, in seconds.
_LIST_SECONDS = 5.0


@dataclass(frozen=True)
class _Member:
    """A worker that takes part in changes."""

    number: int
    client: ControlClient

    def run(self, change: Change, seconds: float | None = None) -> bytes:
        """Let the worker make a change; return the response. Raises the SpyglassError of the worker."""
        return self.client.call("Run", change.to_bytes(), seconds=seconds)

    def end(self, change: Change) -> None:
        """Let the worker end a version, if it has it."""
        with suppress(NotFound):
            self.run(change)

    def adopt(self, change: Change) -> None:
        """Let the worker follow a change of labels and traffic that another one has made."""
        self.client.call("Adopt", change.to_bytes(), seconds=None)

    def refresh(self) -> None:
        """Let the worker look at the repository."""
        self.client.call("Refresh", seconds=None)


class Changes:
    """Passes each change to the workers. Safe to use from any thread.

    The worker that got the call makes a change first: what it refuses, the others do not try. If another one
    fails, the caller gets its error, and the state of the version says which worker it is. A change that was
    begun is made in all workers even if its caller does not wait for the end.
    """

    def __init__(self, folder: Path) -> None:
        """`folder` has the private sockets of the workers."""
        self._folder = folder
        self._lock = Lock()
        self._members: dict[int, _Member] = {}
        self._journal = Journal()
        # The workers that have been there: another one with the number replaces it.
        self._known: set[int] = set()
        self._by_name = [Lock() for _ in range(_LOCKS)]
        self._pool = ThreadPoolExecutor(_AT_ONCE, "change")

    @property
    def methods(self) -> dict[str, Method]:
        """What workers may call."""
        return {"Join": self._join, "Change": self._change}

    def forget(self, number: int) -> None:
        """Leave a worker out that has ended."""
        with self._lock:
            member = self._members.pop(number, None)
        if member:
            member.client.close()

    def close(self) -> None:
        """Begin no further change."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _join(self, request: bytes) -> bytes:
        """Let a worker take part from now on, and return the changes that it has to make first."""
        number = int(request)
        with self._lock:
            others = list(self._members.values())
            self._members[number] = _Member(number, ControlClient(worker_socket(self._folder, number)))
            replaces = number in self._known
            self._known.add(number)
            changes = self._journal.changes
        if replaces:
            # It has read the repository anew, and the others must not serve other versions.
            self._pool.submit(self._each, others, _Member.refresh)
        return json.dumps([change.to_bytes().decode() for change in changes]).encode()

    def _change(self, request: bytes) -> bytes:
        """Let all workers make a change, and return the response of the one that got the call."""
        change = Change.from_bytes(request)
        if change.method == LIST:
            return self._list(change)
        made = self._pool.submit(self._make, change)
        try:
            return made.result(change.seconds)
        except TimeoutError:
            raise DeadlineExceeded("the deadline passed before all workers had made the change") from None

    def _make(self, change: Change) -> bytes:
        if change.method in ROUTES:
            return self._route(change)
        if change.method == RELOAD:
            return self._reload(change)
        with self._by_name[crc32(change.message().name.encode()) % _LOCKS]:
            return self._repeat(change)

    def _repeat(self, change: Change) -> bytes:
        """Let all workers load or unload a version."""
        response = self._member(change.worker).run(change)
        made = change.of_version(response)
        with self._lock:
            self._journal.add(made)
        # The journal first: a worker that joins now has the change from there.
        others = self._others(change.worker)
        if change.method == UNLOAD:
            self._each(others, lambda member: member.end(made))
        else:
            self._each(others, lambda member: member.run(made))
        return response

    def _route(self, change: Change) -> bytes:
        """Let one worker change the file of labels and traffic, and the others read it."""
        response = self._member(change.worker).run(change)
        self._each(self._others(change.worker), lambda member: member.adopt(change))
        return response

    def _reload(self, change: Change) -> bytes:
        first = self._member(change.worker)
        responses = {first.number: first.run(change)}

        def reload(member: _Member) -> None:
            responses[member.number] = member.run(change)

        self._each(self._others(change.worker), reload)
        states = joined_states(
            {number: ReloadResponse.FromString(data).versions for number, data in responses.items()}
        )
        return bytes(ReloadResponse(versions=states).SerializeToString())

    def _list(self, change: Change) -> bytes:
        own = ListVersionsResponse.FromString(self._member(change.worker).run(change, _LIST_SECONDS))
        states = {change.worker: own.versions}
        for member in self._others(change.worker):
            # One that does not respond in time is left out.
            with suppress(Unavailable, DeadlineExceeded):
                response = ListVersionsResponse.FromString(member.run(change, _LIST_SECONDS))
                states[member.number] = response.versions
        joined = ListVersionsResponse(versions=joined_states(states), routings=own.routings)
        return bytes(joined.SerializeToString())

    def _member(self, number: int) -> _Member:
        with self._lock:
            member = self._members.get(number)
        if member is None:
            raise Unavailable(f"worker {number} takes no part in changes: it has ended")
        return member

    def _others(self, number: int) -> list[_Member]:
        with self._lock:
            return [member for other, member in sorted(self._members.items()) if other != number]

    def _each(self, members: Iterable[_Member], make: Callable[[_Member], object]) -> None:
        """Let workers make a change, one after the other, so that not all of them are busy with it.

        One that ends meanwhile is left out. Raises the first error of the others, with the worker's number.
        """
        failed: SpyglassError | None = None
        for member in members:
            try:
                make(member)
            except Unavailable:
                _log.info("worker %d has ended while the models changed", member.number)
            except SpyglassError as error:
                message = f"worker {member.number}: {error.message}"
                _log.error("a change of the models failed in %s", message)
                failed = failed or type(error)(message, reason=error.reason)
        if failed:
            raise failed
