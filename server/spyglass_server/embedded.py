"""The data plane without a server around it: for commands in one process."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from threading import Lock

from spyglass.v1.model_pb2 import TASK_CLASSIFY, TASK_SEGMENT, Task
from spyglass_contract.images.header import Limits
from spyglass_server.dataplane import DataPlane
from spyglass_server.domain import (
    Classification,
    Explanation,
    ModelSelector,
    Refinement,
    Segmentation,
    Target,
)
from spyglass_server.engine.admission import Admission
from spyglass_server.engine.bundled import bundled_models
from spyglass_server.engine.call import Call
from spyglass_server.engine.decoders import ImageData
from spyglass_server.engine.model import Model, Resources
from spyglass_server.engine.processors import usable_cpus
from spyglass_server.engine.repository import DEFAULT_MODELS, DEFAULT_OF_TASK, Repository, model_files


class Embedded:
    """Answers as a server on the same models would; a model is loaded when it is first asked for."""

    def __init__(self, models: Path) -> None:
        """Takes the models below the folder `models`. Raises ModelError where there are none."""
        cpus = usable_cpus()
        self._files = model_files(models, "all")
        self._repository = Repository(default_models=DEFAULT_MODELS)
        self._dataplane = DataPlane(self._repository, Admission(2 * cpus), decoders=cpus, limits=Limits())
        self._open_model = partial(Model.load, resources=Resources(device="cpu", workers=cpus))
        self._loading = Lock()
        self._loaded: set[Path] = set()

    def classify(
        self,
        image: ImageData,
        *,
        model: ModelSelector | None = None,
        top_k: int = 0,
        timeout: float | None = None,
    ) -> Classification:
        """As `DataPlane.classify`; `timeout` in seconds, None: none. Safe to call from many threads."""
        selector = model or ModelSelector()
        self._load(selector, TASK_CLASSIFY)
        return self._dataplane.classify(image, model=selector, top_k=top_k, call=_call(timeout))

    def heatmap(
        self,
        image: ImageData,
        *,
        model: ModelSelector | None = None,
        targets: Sequence[Target] = (None,),
        top_k: int = 0,
        timeout: float | None = None,
    ) -> Explanation:
        """As `DataPlane.heatmap`, the maps float32 and of the feature map's size; `timeout` in seconds."""
        selector = model or ModelSelector()
        self._load(selector, TASK_CLASSIFY)
        return self._dataplane.heatmap(
            image, model=selector, targets=targets, top_k=top_k, call=_call(timeout)
        )

    def segment(
        self,
        image: ImageData,
        *,
        model: ModelSelector | None = None,
        refine: Sequence[Refinement] = (),
        soft: int | str | None = None,
        timeout: float | None = None,
    ) -> Segmentation:
        """As `DataPlane.segment`, the mask an indexed PNG of the image's size; `timeout` in seconds."""
        selector = model or ModelSelector()
        self._load(selector, TASK_SEGMENT)
        return self._dataplane.segment(image, model=selector, refine=refine, soft=soft, call=_call(timeout))

    def close(self) -> None:
        """Stops every model."""
        self._dataplane.close()

    def _load(self, selector: ModelSelector, task: Task.ValueType) -> None:
        """Loads the model named, or the ones that a server would choose its default from."""
        with self._loading:
            for path in self._wanted(selector, task):
                if path not in self._loaded:
                    self._repository.load(path, self._open_model)
                    self._loaded.add(path)

    def _wanted(self, selector: ModelSelector, task: Task.ValueType) -> list[Path]:
        named = [path for path in self._files if path.parent.parent.name == selector.name]
        if selector.version is not None:
            # Where the version is not there, what is there is told by the repository.
            return [path for path in named if int(path.parent.name) == selector.version] or named
        if selector.name:
            return named[-1:]
        newest = {path.parent.parent.name: path for path in self._files}
        default = newest.get(DEFAULT_OF_TASK[task])
        return [default] if default else list(newest.values())


def _call(timeout: float | None) -> Call:
    return Call(None if timeout is None else time.monotonic() + timeout, patient=True)


@contextmanager
def open_embedded(models: Path | None = None) -> Iterator[Embedded]:
    """The models below `models`, the bundled ones where it is None. Raises ModelError."""
    embedded = Embedded(models or bundled_models())
    try:
        yield embedded
    finally:
        embedded.close()
