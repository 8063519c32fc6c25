"""A repository that loads a model when a request first names it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Lock

from spyglass.v1.model_pb2 import ModelRef, Task
from spyglass_server.engine.models.choices import DEFAULT_MODELS, DEFAULT_OF_TASK
from spyglass_server.engine.models.lifecycle.loading import load_model
from spyglass_server.engine.models.lifecycle.policy import ALL
from spyglass_server.engine.models.model import Model
from spyglass_server.engine.models.model_files import model_files
from spyglass_server.engine.models.repository import ANYONE, Asker, Repository, check_named


class OnDemandRepository(Repository):
    """The models below a folder, each loaded once, when a request first needs it.

    To list the models loads all of them. Every method may raise ModelError.
    """

    def __init__(self, models: Path, open_model: Callable[[Path], Model]) -> None:
        """Find the files below `models`, but open none. Raises ModelError if there are none."""
        super().__init__(default_models=DEFAULT_MODELS)
        self._files = model_files(models, ALL)
        self._open_model = open_model
        self._lock = Lock()
        self._loaded: set[Path] = set()

    def __iter__(self) -> Iterator[Model]:
        self._load(self._files)
        return super().__iter__()

    def names(self) -> list[str]:
        return sorted({path.parent.parent.name for path in self._files})

    def find(self, ref: ModelRef, asker: Asker = ANYONE) -> Model:
        check_named(ref)
        self._load(self._named(ref))
        return super().find(ref, asker)

    def resolve(self, ref: ModelRef, task: Task.ValueType, asker: Asker = ANYONE) -> Model:
        if not ref.name:
            self.default(task)
        return super().resolve(ref, task, asker)

    def default(self, task: Task.ValueType) -> Model | None:
        newest = {path.parent.parent.name: path for path in self._files}
        default = newest.get(DEFAULT_OF_TASK[task])
        # If the folder has no default model of the task, the only model of the task is the default.
        self._load([default] if default else list(newest.values()))
        return super().default(task)

    def _named(self, ref: ModelRef) -> list[Path]:
        named = [path for path in self._files if path.parent.parent.name == ref.name]
        if not ref.HasField("version"):
            return named[-1:]
        # If the version is missing, the error lists the versions that exist.
        return [path for path in named if int(path.parent.name) == ref.version] or named

    def _load(self, paths: list[Path]) -> None:
        with self._lock:
            for path in paths:
                if path not in self._loaded:
                    self.add(load_model(path, self._open_model))
                    self._loaded.add(path)
