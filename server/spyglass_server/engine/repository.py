"""The models that are served, by name and version."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

from spyglass.v1.model_pb2 import TASK_CLASSIFY, TASK_SEGMENT, ModelRef, Task
from spyglass_contract.errors import CardError, FailedPrecondition, InvalidInput, ModelError, NotFound
from spyglass_server.engine.model import Model
from spyglass_server.engine.text import quoted

_log = logging.getLogger(__name__)

_VERBS = {TASK_CLASSIFY: "classify", TASK_SEGMENT: "segment"}
_KINDS = {TASK_CLASSIFY: "a classifier", TASK_SEGMENT: "a segmentation model"}

# A request that names no model gets the default model of its task.
DEFAULT_OF_TASK = {TASK_CLASSIFY: "imagenet", TASK_SEGMENT: "foreground"}
DEFAULT_MODELS = tuple(DEFAULT_OF_TASK.values())

Versions = Literal["latest", "all"]


class Repository:
    """Loaded models, found by the reference in a request."""

    def __init__(self, *, default_models: tuple[str, ...] = ()) -> None:
        """A request that names no model gets the first of `default_models` that has its task."""
        self._models: dict[str, dict[int, Model]] = {}
        self._default_models = default_models

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
            model.close()
            raise CardError(f"{name}/{version}: the card in the file is of {card.name}/{card.version}")
        self._models.setdefault(name, {})[card.version] = model
        _log.info("%s/%s loaded in %.2f s", name, version, time.monotonic() - started)
        return model

    def __iter__(self) -> Iterator[Model]:
        """Iterate over the models by name, then version."""
        for _, versions in sorted(self._models.items()):
            for _, model in sorted(versions.items()):
                yield model

    def find(self, ref: ModelRef) -> Model:
        """Return the model that `ref` names, whatever its task. Raises NotFound and InvalidInput."""
        check_named(ref)
        if not ref.name:
            raise InvalidInput("the request names no model", reason="MODEL_NAME_MISSING", field="model.name")
        if ref.label:
            raise NotFound(
                f"{ref.name} has no version with the label {quoted(ref.label)}",
                reason="LABEL_NOT_FOUND",
                field="model.label",
            )
        versions = self._models.get(ref.name)
        if not versions:
            raise NotFound(f"the server has no model {quoted(ref.name)}", field="model.name")
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
        if model.card.task != task:
            raise FailedPrecondition(
                f"{model.card.name} does not {_VERBS[task]}: it is {_KINDS[model.card.task]}",
                field="model.name",
            )
        return model

    def default(self, task: Task.ValueType) -> Model | None:
        """Return the default model of `task`, or its only model; None if there are several."""
        names = [name for name, versions in self._models.items() if _newest(versions).card.task == task]
        named = [name for name in self._default_models if name in names]
        if named or len(names) == 1:
            return _newest(self._models[(named or names)[0]])
        return None

    def close(self) -> None:
        """Run the images that wait, and stop every model."""
        for model in Repository.__iter__(self):
            model.close()


def check_named(ref: ModelRef) -> None:
    """Raise InvalidInput for a version or label without a name."""
    if not ref.name and ref.WhichOneof("selector"):
        raise InvalidInput(
            "a version or a label needs the model's name", reason="MODEL_NAME_MISSING", field="model.name"
        )


def model_files(root: Path, versions: Versions = "latest") -> list[Path]:
    """Return each NAME/VERSION/model.onnx below `root`: the highest version of each name, or all.

    Raises ModelError if there is no folder, or no such file in it.
    """
    if not root.is_dir():
        raise ModelError(f"{root} is not a folder of models")
    found: dict[str, list[Path]] = {}
    for path in root.glob("*/*/model.onnx"):
        if path.parent.name.isdecimal():
            found.setdefault(path.parent.parent.name, []).append(path)
        else:
            _log.warning("%s is ignored: a version must be a whole number", path)
    if not found:
        raise ModelError(f"{root} has no file NAME/VERSION/model.onnx")
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
