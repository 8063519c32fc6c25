"""The models that a caller may use. What it may not use looks the same to it as what does not exist."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from spyglass.v1.model_pb2 import TASK_UNSPECIFIED, ModelRef, Task
from spyglass_contract.errors import InvalidInput, NotFound, PermissionDenied
from spyglass_server.engine.call import Caller
from spyglass_server.engine.models.model import Model
from spyglass_server.engine.models.repository import Asker, Repository
from spyglass_server.engine.text import quoted

if TYPE_CHECKING:
    # The file of tokens is read with pydantic, which a client in this process does not need.
    from spyglass_server.access.scopes import Scopes


@dataclass(frozen=True)
class Permitted:
    """The models of a repository for one caller; one without an identity may use all."""

    repository: Repository
    caller: Caller

    def __iter__(self) -> Iterator[Model]:
        """Iterate over the models that the caller may use, by name, then version."""
        return (model for model in self.repository if self.allows(model.card.name))

    def resolve(self, ref: ModelRef, task: Task.ValueType, request_id: str = "") -> Model:
        """Return the model for a request as `Repository.resolve` does. Raises PermissionDenied, too."""
        asker = Asker(request_id, self.caller.name)
        if self._sees_all:
            return self.repository.resolve(ref, task, asker)
        self._check_name(ref)
        try:
            return self._checked(self.repository.resolve(ref, task, asker))
        except NotFound as error:
            raise _without_names(error, ref) from None

    def find(self, ref: ModelRef, request_id: str = "") -> Model:
        """Return the model that `ref` names, of any task. Raises PermissionDenied, NotFound, InvalidInput."""
        self._check_name(ref)
        try:
            return self.repository.find(ref, Asker(request_id, self.caller.name))
        except NotFound as error:
            if self._sees_all:
                raise
            raise _without_names(error, ref) from None

    def find_of_task(self, ref: ModelRef, task: Task.ValueType) -> Model:
        """Return a model as `Repository.find_of_task` does. Raises PermissionDenied, too."""
        if self._sees_all:
            return self.repository.find_of_task(ref, task)
        self._check_name(ref)
        if not ref.name and task == TASK_UNSPECIFIED:
            raise InvalidInput("name a model or a task", reason="MODEL_NAME_MISSING", field="model.name")
        try:
            return self._checked(self.repository.find_of_task(ref, task))
        except NotFound as error:
            raise _without_names(error, ref) from None

    @property
    def _sees_all(self) -> bool:
        return self._scopes is None or self._scopes.all_models

    def allows(self, name: str) -> bool:
        """Return whether the caller may use the model `name`."""
        return self._scopes is None or self._scopes.allows_model(name)

    @property
    def _scopes(self) -> Scopes | None:
        return self.caller.identity.scopes if self.caller.identity else None

    def _check_name(self, ref: ModelRef) -> None:
        """Before the model is looked for: names of models cannot be probed."""
        if ref.name and not self.allows(ref.name):
            raise PermissionDenied(
                f"the caller lacks a scope that matches model:{quoted(ref.name)}",
                reason="SCOPE_MISSING",
                field="model.name",
            )

    def _checked(self, model: Model) -> Model:
        if not self.allows(model.card.name):
            raise PermissionDenied(
                "the caller lacks a scope that matches the default model; name a model",
                reason="SCOPE_MISSING",
                field="model.name",
            )
        return model


def _without_names(error: NotFound, ref: ModelRef) -> NotFound:
    """Return the error without the names of the models that the server has."""
    if error.reason != NotFound.default_reason:
        return error
    return NotFound(f"the server has no model {quoted(ref.name)}", field=error.field)
