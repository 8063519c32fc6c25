"""The repository of models: its index, and the loads and ends of models, which are those of Admin."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from spyglass.inference.v2_pb2 import (
    RepositoryIndexRequest,
    RepositoryIndexResponse,
    RepositoryModelLoadRequest,
    RepositoryModelLoadResponse,
    RepositoryModelUnloadRequest,
    RepositoryModelUnloadResponse,
)
from spyglass.v1.admin_pb2 import LoadModelRequest, UnloadModelRequest
from spyglass_contract.errors import NotFound, SpyglassError, Unimplemented
from spyglass_server.administration import Administration
from spyglass_server.engine.call import Call
from spyglass_server.engine.models.lifecycle.status import State, Status
from spyglass_server.engine.text import quoted
from spyglass_server.open_inference.inference import OpenInference

_STATES = {
    State.LOADING: "LOADING",
    State.SERVING: "READY",
    State.FAILED: "UNAVAILABLE",
    State.DRAINING: "UNLOADING",
}
# What a server without dependent models does anyway.
_WITHOUT_EFFECT = frozenset({"unload_dependents"})


class ModelRepository:
    """Shows and changes the models that serve."""

    def __init__(
        self,
        inference: OpenInference,
        statuses: Callable[[], Iterable[Status]],
        administration: Administration | None,
    ) -> None:
        """`statuses` returns the state of every version. None: calls may not change the models."""
        self._inference = inference
        self._statuses = statuses
        self._administration = administration

    def index(self, request: RepositoryIndexRequest, call: Call) -> RepositoryIndexResponse:
        """Return the states of the versions that the caller may use."""
        _check_repository(request.repository_name)
        models = self._inference.models(call)
        return RepositoryIndexResponse(
            models=[
                RepositoryIndexResponse.ModelIndex(
                    name=status.name,
                    version=str(status.version),
                    state=_STATES[status.state],
                    reason=status.message,
                )
                for status in self._statuses()
                if models.allows(status.name) and (status.state == State.SERVING or not request.ready)
            ]
        )

    def load(self, request: RepositoryModelLoadRequest, call: Call) -> RepositoryModelLoadResponse:
        """Load the highest version of a model. Raises the errors of `Administration.load_model`."""
        administration = self._changes(request.repository_name, request.parameters)
        with _naming_fields():
            administration.load_model(LoadModelRequest(name=request.model_name), call)
        return RepositoryModelLoadResponse()

    def unload(self, request: RepositoryModelUnloadRequest, call: Call) -> RepositoryModelUnloadResponse:
        """End all versions of a model. Raises the errors of `Administration.unload_model`."""
        administration = self._changes(request.repository_name, request.parameters)
        with _naming_fields():
            administration.unload_model(UnloadModelRequest(name=request.model_name), call)
        return RepositoryModelUnloadResponse()

    def _changes(self, repository: str, parameters: Mapping[str, Any]) -> Administration:
        _check_repository(repository)
        if self._administration is None:
            raise Unimplemented(
                "the server does not load or unload models by calls: start it with --admin",
                reason="ADMIN_OFF",
            )
        for key in parameters:
            if key not in _WITHOUT_EFFECT:
                raise Unimplemented(
                    f"a model is loaded as it is in the repository: remove the parameter {quoted(key)}",
                    reason="PARAMETER_UNSUPPORTED",
                    field="parameters",
                )
        return self._administration


@contextmanager
def _naming_fields() -> Iterator[None]:
    """Give an error about the name of a model the name of this protocol's field."""
    try:
        yield
    except SpyglassError as error:
        error.field = "model_name" if error.field == "name" else error.field
        raise


def _check_repository(name: str) -> None:
    if name:
        raise NotFound(
            f"the server has no repository {quoted(name)}: leave repository_name empty",
            reason="REPOSITORY_NOT_FOUND",
            field="repository_name",
        )
