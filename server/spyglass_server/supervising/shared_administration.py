"""The calls of `spyglass.v1.Admin` for all workers, made by the one that gets them."""

from __future__ import annotations

from typing import TypeVar

from google.protobuf.message import Message

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
from spyglass_server.administration import Administration
from spyglass_server.engine.call import Call
from spyglass_server.engine.models.lifecycle.lifecycle import Lifecycle
from spyglass_server.supervising.change import LIST, LOAD, RELOAD, UNLOAD, Change
from spyglass_server.supervising.control import ControlClient

Response = TypeVar("Response", bound=Message)


class SharedAdministration(Administration):
    """Passes each call to the supervisor, which lets every worker make the change, this one first.

    Raises what `Administration` raises, and Unavailable if the supervisor has ended.
    """

    def __init__(self, lifecycle: Lifecycle, supervisor: ControlClient, worker: int) -> None:
        """`worker` is the number of this process."""
        super().__init__(lifecycle)
        self._supervisor = supervisor
        self._worker = worker

    def load_model(self, request: LoadModelRequest, call: Call) -> LoadModelResponse:
        """Load a version in all workers, one after the other."""
        return self._pass(LOAD, request, call, LoadModelResponse())

    def unload_model(self, request: UnloadModelRequest, call: Call) -> UnloadModelResponse:
        """End a version or a model in all workers."""
        return self._pass(UNLOAD, request, call, UnloadModelResponse())

    def set_label(self, request: SetLabelRequest, call: Call) -> SetLabelResponse:
        """Give a label to a version, which all workers load first."""
        return self._pass("SetLabel", request, call, SetLabelResponse())

    def remove_label(self, request: RemoveLabelRequest, call: Call) -> RemoveLabelResponse:
        """Remove a label."""
        return self._pass("RemoveLabel", request, call, RemoveLabelResponse())

    def set_traffic(self, request: SetTrafficRequest, call: Call) -> SetTrafficResponse:
        """Send a part of the requests for one label or version to another."""
        return self._pass("SetTraffic", request, call, SetTrafficResponse())

    def rollback(self, request: RollbackRequest, call: Call) -> RollbackResponse:
        """Give a label back to its last version."""
        return self._pass("Rollback", request, call, RollbackResponse())

    def reload(self, request: ReloadRequest, call: Call) -> ReloadResponse:
        """Let all workers look at the repository, and return their states as one."""
        return self._pass(RELOAD, request, call, ReloadResponse())

    def list_versions(self, request: ListVersionsRequest, call: Call) -> ListVersionsResponse:
        """Return the states of all workers as one; the labels and shares are the same in all."""
        return self._pass(LIST, request, call, ListVersionsResponse())

    def _pass(self, method: str, request: Message, call: Call, response: Response) -> Response:
        """Return `response` with what the supervisor responds."""
        seconds = call.remaining()
        change = Change(method, request.SerializeToString(), call.caller.name, self._worker, seconds)
        data = self._supervisor.call("Change", change.to_bytes(), seconds=None, look=call.remaining)
        response.ParseFromString(data)
        return response
