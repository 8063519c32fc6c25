"""The models that are served, by name and version."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from threading import Lock

from spyglass.v1.model_pb2 import TASK_CLASSIFY, TASK_SEGMENT, TASK_UNSPECIFIED, ModelRef, Task
from spyglass_contract.errors import FailedPrecondition, InvalidInput, ModelError, NotFound
from spyglass_server.engine.models.model import Model
from spyglass_server.engine.models.routing import NO_ROUTING, STABLE, Key, Routing, Selector
from spyglass_server.engine.text import quoted

# Maximum number of names in a message.
_LISTED = 10

_VERBS = {TASK_CLASSIFY: "classify", TASK_SEGMENT: "segment"}
_KINDS = {TASK_CLASSIFY: "a classifier", TASK_SEGMENT: "a segmentation model"}


@dataclass(frozen=True)
class Versions:
    """The versions of one model that serve, and the labels that lead to them."""

    models: Mapping[int, Model]
    routing: Routing = NO_ROUTING

    @property
    def default(self) -> Model:
        """The version of a request that names none, but for traffic shares."""
        stable = self.routing.labels.get(STABLE)
        return self.models.get(stable or 0) or self.models[max(self.models)]

    def find(self, ref: ModelRef, asker: Asker) -> Model:
        """Return the version that answers a request. Raises NotFound."""
        if not self.routing:
            return self._of_version(ref) if ref.WhichOneof("selector") else self.models[max(self.models)]
        selector: Selector = self._selector(ref)
        routed = self.routing.routed(selector, ref.name, asker.keys, self.models)
        version = self.routing.version(routed)
        return self.models.get(version or 0) or self._of_version(ref)

    def _selector(self, ref: ModelRef) -> Selector:
        if ref.label:
            return ref.label
        if ref.HasField("version"):
            return ref.version
        return STABLE if self.routing.labels.get(STABLE) in self.models else max(self.models)

    def _of_version(self, ref: ModelRef) -> Model:
        if ref.label:
            labels = ", ".join(sorted(self.routing.labels)[:_LISTED]) or "none"
            raise NotFound(
                f"{ref.name} has no version with the label {quoted(ref.label)}; labels: {labels}",
                reason="LABEL_NOT_FOUND",
                field="model.label",
            )
        if ref.version not in self.models:
            served = ", ".join(str(version) for version in sorted(self.models))
            raise NotFound(
                f"{ref.name} has no version {ref.version}; served: {served}",
                reason="VERSION_NOT_FOUND",
                field="model.version",
            )
        return self.models[ref.version]


@dataclass(frozen=True)
class Asker:
    """Who sends a request, as far as traffic shares need it."""

    request_id: str = ""
    caller: str = ""

    @property
    def keys(self) -> dict[Key, str]:
        """The keys of traffic shares."""
        return {"request": self.request_id, "caller": self.caller}


ANYONE = Asker()


class _Snapshot:
    """The models at one moment."""

    def __init__(self, models: Mapping[str, Versions]) -> None:
        self.models = models
        # The answers of `default`.
        self.defaults: dict[Task.ValueType, str | None] = {}


class Repository:
    """Loaded models, found by the reference in a request.

    A change replaces the whole snapshot: requests on other threads see all of it, or nothing. A request keeps
    the model that it has found.
    """

    def __init__(self, *, default_models: tuple[str, ...] = ()) -> None:
        """A request that names no model gets the first of `default_models` that has its task."""
        self._snapshot = _Snapshot({})
        self._default_models = default_models
        self._changing = Lock()

    def publish(self, name: str, versions: Versions | None) -> None:
        """Serve these versions of a model from now on; None: the model serves no more."""
        with self._changing:
            models = {**self._snapshot.models}
            models.pop(name, None)
            if versions and versions.models:
                models[name] = versions
            self._snapshot = _Snapshot(dict(sorted(models.items())))

    def add(self, model: Model) -> None:
        """Serve a model from now on, beside its other versions."""
        before = self.versions(model.card.name)
        models = {**before.models, model.card.version: model}
        self.publish(model.card.name, Versions(models, before.routing))

    def versions(self, name: str) -> Versions:
        """Return what serves of a model now."""
        return self._snapshot.models.get(name, _NO_VERSIONS)

    def routings(self) -> dict[str, Routing]:
        """Return the routing of each model that has one, by name."""
        return {name: found.routing for name, found in self._snapshot.models.items() if found.routing}

    def __iter__(self) -> Iterator[Model]:
        """Iterate over the models by name, then version."""
        for versions in self._snapshot.models.values():
            for _, model in sorted(versions.models.items()):
                yield model

    def names(self) -> list[str]:
        """Return the names of the models, sorted."""
        return list(self._snapshot.models)

    def find(self, ref: ModelRef, asker: Asker = ANYONE) -> Model:
        """Return the model that `ref` names, whatever its task. Raises NotFound and InvalidInput."""
        check_named(ref)
        versions = self._snapshot.models.get(ref.name)
        if not versions:
            raise NotFound(
                f"the server has no model {quoted(ref.name)}; it serves {listed_names(self.names())}",
                field="model.name",
            )
        return versions.find(ref, asker)

    def resolve(self, ref: ModelRef, task: Task.ValueType, asker: Asker = ANYONE) -> Model:
        """Return the model for a request of `task`; an empty `ref` means the default model.

        Raises NotFound, InvalidInput, and FailedPrecondition for a model of another task.
        """
        check_named(ref)
        model = self.find(ref, asker) if ref.name else self._routed_default(task, asker)
        if model is None:
            raise NotFound(
                f"the server has no default model to {_VERBS[task]} with; name a model",
                reason="NO_DEFAULT_MODEL",
                field="model.name",
            )
        if model.task != task:
            raise FailedPrecondition(
                f"{model.card.name} does not {_VERBS[task]}: it is {_KINDS[model.card.task]}",
                field="model.name",
            )
        return model

    def find_of_task(self, ref: ModelRef, task: Task.ValueType) -> Model:
        """Return the model that `ref` names, which must have `task`; TASK_UNSPECIFIED allows any.

        An empty `ref` means the default model of `task`, or without a task the only default model. Raises
        the errors of `resolve`, and InvalidInput for an unknown task or if several models are meant.
        """
        if task not in (TASK_UNSPECIFIED, *_VERBS):
            raise InvalidInput(f"there is no task {task}", reason="TASK_UNKNOWN", field="task")
        if task != TASK_UNSPECIFIED:
            return self.resolve(ref, task)
        check_named(ref)
        return self.find(ref) if ref.name else self._only_default()

    def _only_default(self) -> Model:
        found = [model for task in _VERBS if (model := self.default(task)) is not None]
        if not found:
            raise NotFound(
                "the server has no default model; name a model", reason="NO_DEFAULT_MODEL", field="model.name"
            )
        if len(found) > 1:
            names = " and ".join(f"{model.card.name} to {_VERBS[model.card.task]}" for model in found)
            raise InvalidInput(
                f"the server has several default models, {names}; name a model or a task",
                reason="MODEL_NAME_MISSING",
                field="model.name",
            )
        return found[0]

    def default(self, task: Task.ValueType) -> Model | None:
        """Return the default model of `task`, or its only model; None if there are several."""
        snapshot = self._snapshot
        name = self._default_name(snapshot, task)
        return snapshot.models[name].default if name else None

    def _routed_default(self, task: Task.ValueType, asker: Asker) -> Model | None:
        snapshot = self._snapshot
        name = self._default_name(snapshot, task)
        return snapshot.models[name].find(ModelRef(name=name), asker) if name else None

    def _default_name(self, snapshot: _Snapshot, task: Task.ValueType) -> str | None:
        if task not in snapshot.defaults:
            names = [name for name, found in snapshot.models.items() if found.default.card.task == task]
            named = [name for name in self._default_models if name in names]
            snapshot.defaults[task] = (named or names)[0] if named or len(names) == 1 else None
        return snapshot.defaults[task]

    def close(self) -> None:
        """Forget every model, and free its memory once no request uses it."""
        with self._changing:
            self._snapshot = _Snapshot({})


def check_named(ref: ModelRef) -> None:
    """Raise InvalidInput for a version or label without a name."""
    if not ref.name and ref.WhichOneof("selector"):
        raise InvalidInput(
            "a version or a label needs the model's name", reason="MODEL_NAME_MISSING", field="model.name"
        )


def check_served(names: Iterable[str], served: Iterable[str]) -> None:
    """Raise ModelError if one of `names` is not among the names of the models that are served."""
    served = sorted({*served})
    for name in names:
        if name not in served:
            raise ModelError(
                f"the default model {name[:100]!r} is not among the models: {listed_names(served)}",
                reason="DEFAULT_MODEL_NOT_FOUND",
            )


def listed_names(names: Sequence[str]) -> str:
    """Return the first names as a text for messages."""
    shown = ", ".join(names[:_LISTED]) or "no model"
    return f"{shown} and {len(names) - _LISTED} more" if len(names) > _LISTED else shown


_NO_VERSIONS = Versions({})
