"""The server of a worker process, and what the supervisor may ask of it."""

from __future__ import annotations

import json
import logging
import os
from contextlib import suppress
from pathlib import Path
from threading import Lock

from spyglass_contract.errors import FailedPrecondition, ModelError, SpyglassError
from spyglass_server.administration import Administration
from spyglass_server.engine.call import Call, Caller
from spyglass_server.engine.models.lifecycle.lifecycle import Lifecycle
from spyglass_server.server import Server
from spyglass_server.supervising.change import METHODS, Change
from spyglass_server.supervising.control import ControlClient, ControlServer
from spyglass_server.supervising.families import families_of, to_bytes
from spyglass_server.supervising.shared_administration import SharedAdministration
from spyglass_server.supervising.task import Task, supervisor_socket
from spyglass_server.supervising.worker_process import READY

_log = logging.getLogger(__name__)

_JOIN_SECONDS = 10.0


class Supervised:
    """One of several servers on a port: a `Sharing`, and the private calls of the supervisor."""

    def __init__(self, task: Task, ready: int) -> None:
        """`ready` is the descriptor by which the supervisor learns that this process serves."""
        self._task = task
        self._ready = ready
        self._control: ControlServer | None = None
        self._supervisor = ControlClient(supervisor_socket(task.folder))
        self._own: Administration | None = None
        self._lifecycle: Lifecycle | None = None
        # Held until the changes of the others have been made here.
        self._joining = Lock()
        self.orphaned = False
        """Whether the supervisor has ended before this process."""

    def build(self) -> Server:
        """Make the server, and respond to private calls about it."""
        server = Server(self._task.settings, sharing=self)

        def metrics(request: bytes) -> bytes:
            return to_bytes(families_of(server.metrics) if server.metrics else [])

        methods = {"Metrics": metrics, "Run": self._run, "Adopt": self._adopt, "Refresh": self._refresh}
        self._control = ControlServer(self._task.socket, methods)
        return server

    @property
    def profile_lock(self) -> Path:
        """See `Sharing.profile_lock`."""
        return self._task.folder / "profiles"

    def administer(self, own: Administration, lifecycle: Lifecycle) -> Administration:
        """See `Sharing.administer`."""
        self._own, self._lifecycle = own, lifecycle
        return SharedAdministration(lifecycle, self._supervisor, self._task.number)

    def join(self) -> None:
        """See `Sharing.join`. Raises Unavailable if the supervisor has ended."""
        if not self._task.settings.admin:
            return
        with self._joining:
            number = str(self._task.number).encode()
            changes = json.loads(self._supervisor.call("Join", number, seconds=_JOIN_SECONDS))
            # Labels may have changed since the models were loaded.
            self._look()
            for text in changes:
                try:
                    self._made(Change.from_bytes(text.encode()))
                except SpyglassError as error:
                    _log.error("a change of the models could not be repeated: %s", error.message)
            self._lifecycle_of_server.settled()

    def serving(self) -> None:
        """Tell the supervisor that this process serves."""
        # Without a supervisor, the process ends soon.
        with suppress(BrokenPipeError):
            os.write(self._ready, READY)

    def end(self) -> None:
        """Respond to no more private calls; the last process of a killed supervisor cleans up."""
        if self._control:
            self._control.stop()
        self._supervisor.close()
        if self.orphaned:
            with suppress(OSError):
                for path in (supervisor_socket(self._task.folder), self.profile_lock):
                    path.unlink(missing_ok=True)
                self._task.folder.rmdir()

    def _run(self, request: bytes) -> bytes:
        """Make a change in this process."""
        with self._joining:
            pass
        return self._made(Change.from_bytes(request))

    def _made(self, change: Change) -> bytes:
        method = METHODS[change.method]
        call = Call(caller=Caller(change.caller))
        response: bytes = getattr(self._own, method)(change.message(), call).SerializeToString()
        return response

    def _adopt(self, request: bytes) -> bytes:
        """Follow a change of labels and traffic that another process has written."""
        with self._joining:
            pass
        change = Change.from_bytes(request)
        if change.method != "SetLabel":
            self._look()
            return b""
        message = change.message()
        with self._lifecycle_of_server.holding(message.name, message.version) as loading:
            try:
                loading.result()
            except ModelError as error:
                raise FailedPrecondition(error.message, reason=error.reason) from error
            self._look()
        return b""

    def _refresh(self, request: bytes) -> bytes:
        with self._joining:
            pass
        self._look()
        return b""

    @property
    def _lifecycle_of_server(self) -> Lifecycle:
        assert self._lifecycle
        return self._lifecycle

    def _look(self) -> None:
        try:
            self._lifecycle_of_server.refresh()
        # The catalog has logged it.
        except ModelError as error:
            _log.debug("the models could not be looked for: %s", error.message)
