"""Name and version to a loaded model."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

from spyglass.v1.model_pb2 import TASK_CLASSIFY, TASK_SEGMENT, Task
from spyglass_contract.errors import CardError, FailedPrecondition, InvalidInput, ModelError, NotFound
from spyglass_server.domain import ModelSelector
from spyglass_server.engine.model import Model

_log = logging.getLogger(__name__)

_TASKS = {TASK_CLASSIFY: "classify", TASK_SEGMENT: "segment"}
_KINDS = {TASK_CLASSIFY: "a classifier", TASK_SEGMENT: "a segmentation model"}

# What a request without a model's name means, where nobody says otherwise: the first one of its task.
DEFAULT_OF_TASK = {TASK_CLASSIFY: "imagenet", TASK_SEGMENT: "foreground"}
DEFAULT_MODELS = tuple(DEFAULT_OF_TASK.values())

Versions = Literal["latest", "all"]


class Repository:
    """The models that are served, found by what a request says of them."""

    def __init__(self, *, default_models: tuple[str, ...] = ()) -> None:
        """`default_models` are the names that an empty selector means, the first one of the task."""
        self._models: dict[str, dict[int, Model]] = {}
        self._default_models = default_models

    def load(self, path: Path, open_model: Callable[[Path], Model]) -> Model:
        """Loads NAME/VERSION/model.onnx. Raises ModelError, also where the card says something else."""
        name, version = path.parent.parent.name, path.parent.name
        started = time.monotonic()
        try:
            model = open_model(path)
        except ModelError as error:
            raise type(error)(f"{name}/{version}: {error.message}", reason=error.reason) from error
        card = model.card
        if (card.name, str(card.version)) != (name, version):
            model.close()
            raise CardError(f"{name}/{version}: the card in it says {card.name}/{card.version}")
        self._models.setdefault(name, {})[card.version] = model
        _log.info("%s/%s loaded in %.2f s", name, version, time.monotonic() - started)
        return model

    def __iter__(self) -> Iterator[Model]:
        for _, versions in sorted(self._models.items()):
            for _, model in sorted(versions.items()):
                yield model

    def find(self, selector: ModelSelector) -> Model:
        """The model that `selector` names, whatever its task. Raises NotFound and InvalidInput."""
        if not selector.name:
            raise InvalidInput("no model is named", reason="MODEL_NAME_MISSING", field="model.name")
        if selector.label:
            raise NotFound(
                f"{selector.name} has no version labelled {selector.label!r}",
                reason="LABEL_NOT_FOUND",
                field="model.label",
            )
        versions = self._models.get(selector.name)
        if not versions:
            raise NotFound(f"no model {selector.name!r} is served", field="model.name")
        if selector.version is None:
            return versions[max(versions)]
        if selector.version not in versions:
            served = ", ".join(str(version) for version in sorted(versions))
            raise NotFound(
                f"{selector.name} has no version {selector.version}; served: {served}",
                reason="VERSION_NOT_FOUND",
                field="model.version",
            )
        return versions[selector.version]

    def resolve(self, selector: ModelSelector, task: Task.ValueType) -> Model:
        """The model for a request of `task`. Raises NotFound, and FailedPrecondition for another task."""
        model = self.find(selector) if selector.name else self.default(task)
        if model is None:
            raise NotFound(
                f"no default model to {_TASKS[task]} with; name one",
                reason="NO_DEFAULT_MODEL",
                field="model.name",
            )
        if model.card.task != task:
            raise FailedPrecondition(
                f"{model.card.name} does not {_TASKS[task]}: it is {_KINDS[model.card.task]}",
                field="model.name",
            )
        return model

    def default(self, task: Task.ValueType) -> Model | None:
        """The named default, or else the only model of the task; None where there are several."""
        names = [name for name, versions in self._models.items() if _newest(versions).card.task == task]
        named = [name for name in self._default_models if name in names]
        if named or len(names) == 1:
            return _newest(self._models[(named or names)[0]])
        return None

    def close(self) -> None:
        """Answers what waits and stops every model."""
        for model in self:
            model.close()


def model_files(root: Path, versions: Versions = "latest") -> list[Path]:
    """NAME/VERSION/model.onnx below `root`: the highest version of each name, or all. Raises ModelError."""
    if not root.is_dir():
        raise ModelError(f"no model folder at {root}")
    found: dict[str, list[Path]] = {}
    for path in root.glob("*/*/model.onnx"):
        if path.parent.name.isdecimal():
            found.setdefault(path.parent.parent.name, []).append(path)
        else:
            _log.warning("%s is left out: a version is a whole number", path)
    if not found:
        raise ModelError(f"no NAME/VERSION/model.onnx below {root}")
    by_version = {
        name: sorted(paths, key=lambda path: int(path.parent.name)) for name, paths in found.items()
    }
    return [
        path
        for _, paths in sorted(by_version.items())
        for path in (paths if versions == "all" else paths[-1:])
    ]


def _newest(versions: dict[int, Model]) -> Model:
    return versions[max(versions)]
