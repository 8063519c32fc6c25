"""The calls of `spyglass.v1.Admin`: a request message in, a response message out. They know no protocol."""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import TypeVar

from spyglass.v1.admin_pb2 import (
    ListVersionsRequest,
    ListVersionsResponse,
    LoadModelRequest,
    LoadModelResponse,
    ReloadRequest,
    ReloadResponse,
    RemoveLabelRequest,
    RemoveLabelResponse,
    RollbackRequest,
    RollbackResponse,
    SetLabelRequest,
    SetLabelResponse,
    SetTrafficRequest,
    SetTrafficResponse,
    UnloadModelRequest,
    UnloadModelResponse,
)
from spyglass.v1.model_pb2 import Routing as RoutingMessage
from spyglass.v1.model_pb2 import VersionStatus
from spyglass_contract.errors import FailedPrecondition, InvalidInput, ModelError
from spyglass_server.engine.call import Call
from spyglass_server.engine.models.lifecycle.lifecycle import Lifecycle
from spyglass_server.engine.models.model import Model
from spyglass_server.engine.models.routing import STABLE, Routing, check_label
from spyglass_server.routing_messages import check_version, routing_message, share_of

_log = logging.getLogger(__name__)

# How often a call that waits looks whether its caller has gone, in seconds.
_LOOK_SECONDS = 0.1
_MOST_NAME = 63

Result = TypeVar("Result")


class Administration:
    """One method for each call; safe to use from any thread. Each may raise `spyglass_contract.errors`.

    A call that waits for a load ends at its deadline; the load goes on.
    """

    def __init__(self, lifecycle: Lifecycle) -> None:
        self._lifecycle = lifecycle

    def load_model(self, request: LoadModelRequest, call: Call) -> LoadModelResponse:
        """Load a version, and return its status when it serves."""
        check_named(request.name)
        check_version(request.version, least=0)
        _log.info("%s loads %s/%d", _who(call), request.name, request.version)
        model = _ended(self._lifecycle.load(request.name, request.version), call)
        return LoadModelResponse(version=self._status(request.name, model.card.version))

    def unload_model(self, request: UnloadModelRequest, call: Call) -> UnloadModelResponse:
        """End a version or a model, and return the states when no new request reaches it."""
        check_named(request.name)
        check_version(request.version, least=0)
        _log.info("%s unloads %s/%d", _who(call), request.name, request.version)
        ended = {status.version for status in self._lifecycle.unload(request.name, request.version)}
        self._settle(call)
        return UnloadModelResponse(
            versions=[
                status.to_message()
                for status in self._lifecycle.statuses()
                if status.name == request.name and status.version in ended
            ]
        )

    def set_label(self, request: SetLabelRequest, call: Call) -> SetLabelResponse:
        """Give a label to a version that serves, or is loaded first."""
        check_named(request.name)
        check_label(request.label)
        check_version(request.version, least=1)
        with self._lifecycle.holding(request.name, request.version) as loading:
            _ended(loading, call)
            change = partial(Routing.with_label, label=request.label, version=request.version)
            return SetLabelResponse(routing=self._route(request.name, change, call))

    def remove_label(self, request: RemoveLabelRequest, call: Call) -> RemoveLabelResponse:
        """Remove a label."""
        check_named(request.name)
        change = partial(Routing.without_label, label=request.label)
        return RemoveLabelResponse(routing=self._route(request.name, change, call))

    def set_traffic(self, request: SetTrafficRequest, call: Call) -> SetTrafficResponse:
        """Send a part of the requests for one label or version to another."""
        check_named(request.name)
        share = share_of(request.share)
        return SetTrafficResponse(
            routing=self._route(request.name, partial(Routing.with_share, share=share), call)
        )

    def rollback(self, request: RollbackRequest, call: Call) -> RollbackResponse:
        """Give a label back to its last version."""
        check_named(request.name)
        change = partial(Routing.rolled_back, label=request.label or STABLE)
        return RollbackResponse(routing=self._route(request.name, change, call))

    def reload(self, request: ReloadRequest, call: Call) -> ReloadResponse:
        """Look at the repository, and return the states when nothing loads any more."""
        try:
            self._lifecycle.refresh()
        except ModelError as error:
            raise FailedPrecondition(error.message, reason=error.reason) from error
        self._settle(call)
        return ReloadResponse(versions=self._statuses())

    def list_versions(self, request: ListVersionsRequest, call: Call) -> ListVersionsResponse:
        """Return the states, labels and shares of all models."""
        routings = self._lifecycle.routings()
        return ListVersionsResponse(
            versions=self._statuses(),
            routings=[routing_message(name, *routing) for name, routing in routings.items()],
        )

    def _route(self, name: str, change: Callable[[Routing], Routing], call: Call) -> RoutingMessage:
        routing = self._lifecycle.route(name, change)
        message = routing_message(name, routing)
        _log.info("%s has set the routing of %s: %s", _who(call), name, routing.text())
        return message

    def _settle(self, call: Call) -> None:
        _wait(lambda seconds: self._lifecycle.settled(seconds) or None, call)

    def _statuses(self) -> list[VersionStatus]:
        return [status.to_message() for status in self._lifecycle.statuses()]

    def _status(self, name: str, version: int) -> VersionStatus:
        return next(
            status.to_message()
            for status in self._lifecycle.statuses()
            if (status.name, status.version) == (name, version)
        )


def check_named(name: str) -> None:
    """Raise InvalidInput unless `name` can be the name of a model."""
    if not name:
        raise InvalidInput("name a model", reason="MODEL_NAME_MISSING", field="name")
    if len(name) > _MOST_NAME:
        raise InvalidInput(
            f"the name of a model has at most {_MOST_NAME} characters, not {len(name)}",
            reason="MODEL_NAME_INVALID",
            field="name",
        )


def _ended(loading: Future[Model], call: Call) -> Model:
    """Wait for a load. Raises FailedPrecondition if the file was refused, and the errors of `_wait`."""

    def look(seconds: float) -> Model | None:
        try:
            return loading.result(seconds)
        except TimeoutError:
            return None

    try:
        return _wait(look, call)
    except ModelError as error:
        raise FailedPrecondition(error.message, reason=error.reason) from error


def _wait(look: Callable[[float], Result | None], call: Call) -> Result:
    """Return what `look` finds within some seconds. Raises DeadlineExceeded and Cancelled."""
    while True:
        left = call.remaining()
        found = look(_LOOK_SECONDS if left is None else min(_LOOK_SECONDS, max(left, 0.0)))
        if found is not None:
            return found


def _who(call: Call) -> str:
    return call.caller.name or "a caller"
