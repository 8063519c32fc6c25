"""The models that are served, by name and version."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from spyglass.v1.model_pb2 import TASK_CLASSIFY, TASK_SEGMENT, TASK_UNSPECIFIED, ModelRef, Task
from spyglass_contract.errors import CardError, FailedPrecondition, InvalidInput, ModelError, NotFound
from spyglass_contract.images.folders import is_hidden
from spyglass_server.engine.models.choices import Versions
from spyglass_server.engine.models.model import Model
from spyglass_server.engine.text import quoted

_log = logging.getLogger(__name__)

# Maximum number of names in a message.
_LISTED = 10

_VERBS = {TASK_CLASSIFY: "classify", TASK_SEGMENT: "segment"}
_KINDS = {TASK_CLASSIFY: "a classifier", TASK_SEGMENT: "a segmentation model"}


class Repository:
    """Loaded models, found by the reference in a request."""

    def __init__(self, *, default_models: tuple[str, ...] = ()) -> None:
        """A request that names no model gets the first of `default_models` that has its task."""
        self._models: dict[str, dict[int, Model]] = {}
        self._default_models = default_models
        # The answers of `default` since the last change.
        self._defaults: dict[Task.ValueType, Model | None] = {}

    def load(self, path: Path, open_model: Callable[[Path], Model]) -> Model:
        """Load NAME/VERSION/model.onnx.

        Raises ModelError, and CardError if the card has another name or version than the path.
        """
        name, version = path.parent.parent.name, path.parent.name
        started = time.monotonic()
        try:
            model = open_model(path)
        except ModelError as error:
            raise type(error)(f"{name}/{version}: {error.message}", reason=error.reason) from error
        card = model.card
        if (card.name, str(card.version)) != (name, version):
            raise CardError(f"{name}/{version}: the card in the file is of {card.name}/{card.version}")
        model.load_seconds = time.monotonic() - started
        self._models.setdefault(name, {})[card.version] = model
        self._defaults = {}
        _log.info("%s/%s loaded in %.2f s", name, version, model.load_seconds)
        return model

    def __iter__(self) -> Iterator[Model]:
        """Iterate over the models by name, then version."""
        for _, versions in sorted(self._models.items()):
            for _, model in sorted(versions.items()):
                yield model

    def names(self) -> list[str]:
        """Return the names of the models, sorted."""
        return sorted(self._models)

    def find(self, ref: ModelRef) -> Model:
        """Return the model that `ref` names, whatever its task. Raises NotFound and InvalidInput."""
        check_named(ref)
        if ref.label:
            raise NotFound(
                f"{ref.name} has no version with the label {quoted(ref.label)}",
                reason="LABEL_NOT_FOUND",
                field="model.label",
            )
        versions = self._models.get(ref.name)
        if not versions:
            raise NotFound(
                f"the server has no model {quoted(ref.name)}; it serves {listed_names(self.names())}",
                field="model.name",
            )
        if not ref.HasField("version"):
            return _newest(versions)
        if ref.version not in versions:
            served = ", ".join(str(version) for version in sorted(versions))
            raise NotFound(
                f"{ref.name} has no version {ref.version}; served: {served}",
                reason="VERSION_NOT_FOUND",
                field="model.version",
            )
        return versions[ref.version]

    def resolve(self, ref: ModelRef, task: Task.ValueType) -> Model:
        """Return the model for a request of `task`; an empty `ref` means the default model.

        Raises NotFound, InvalidInput, and FailedPrecondition for a model of another task.
        """
        check_named(ref)
        model = self.find(ref) if ref.name else self.default(task)
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
        if task not in self._defaults:
            self._defaults[task] = self._find_default(task)
        return self._defaults[task]

    def _find_default(self, task: Task.ValueType) -> Model | None:
        names = [name for name, versions in self._models.items() if _newest(versions).card.task == task]
        named = [name for name in self._default_models if name in names]
        if named or len(names) == 1:
            return _newest(self._models[(named or names)[0]])
        return None

    def close(self) -> None:
        """Forget every model, and free its memory once no request uses it."""
        self._models.clear()
        self._defaults = {}


def check_named(ref: ModelRef) -> None:
    """Raise InvalidInput for a version or label without a name."""
    if not ref.name and ref.WhichOneof("selector"):
        raise InvalidInput(
            "a version or a label needs the model's name", reason="MODEL_NAME_MISSING", field="model.name"
        )


def model_files(roots: Path | Sequence[Path], versions: Versions = "latest") -> list[Path]:
    """Return each NAME/VERSION/model.onnx below the folders: the highest version of each name, or all.

    Raises ModelError if a folder does not exist or has no such file, or if two folders have the same version.
    """
    found: dict[str, dict[int, Path]] = {}
    for root in [roots] if isinstance(roots, Path) else roots:
        for path in _files_below(root):
            known = found.setdefault(path.parent.parent.name, {})
            other = known.setdefault(int(path.parent.name), path)
            if other.resolve() != path.resolve():
                raise ModelError(f"{other} and {path} have the same name and version; serve one of them")
    return [
        path
        for _, by_version in sorted(found.items())
        for _, path in (sorted(by_version.items()) if versions == "all" else [max(by_version.items())])
    ]


def _files_below(root: Path) -> list[Path]:
    """Return each NAME/VERSION/model.onnx below one folder. Raises ModelError if there is none."""
    if not root.is_dir():
        adopt = f"; `spyglass adopt {root}` makes a model of an ONNX classifier" if root.is_file() else ""
        raise ModelError(f"{root} is not a folder of models{adopt}")
    found = []
    for path in sorted(root.glob("*/*/model.onnx")):
        if is_hidden(path.parent.parent.name) or is_hidden(path.parent.name):
            continue
        if path.parent.name.isdecimal():
            found.append(path)
        else:
            _log.warning("%s is ignored: a version must be a whole number", path)
    if not found:
        raw = next((path for depth in ("*", "*/*", "*/*/*") for path in root.glob(f"{depth}.onnx")), None)
        adopt = f"; `spyglass adopt {raw}` makes a model of an ONNX classifier" if raw else ""
        raise ModelError(f"{root} has no file NAME/VERSION/model.onnx{adopt}")
    return found


def check_served(names: Iterable[str], files: Iterable[Path]) -> None:
    """Raise ModelError if `files`, each NAME/VERSION/model.onnx, have no model of one of the names."""
    served = sorted({file.parent.parent.name for file in files})
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


def _newest(versions: dict[int, Model]) -> Model:
    return versions[max(versions)]
