"""The interface of an execution provider, and what it returns when it opens a file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from spyglass_contract.model_files.model_file import ModelFile
from spyglass_contract.onnx_runtime import onnxruntime
from spyglass_server.engine.models.choices import ComputePrecision
from spyglass_server.engine.models.providers.graph import Graph
from spyglass_server.engine.models.providers.placement import Placement

# uint8 [batch, height, width, channels] to float32 probabilities [batch, …]; safe to call from any thread.
Run = Callable[[NDArray[np.uint8]], NDArray[np.float32]]


@dataclass(frozen=True)
class Opened:
    """A file that is open at a provider."""

    # The provider of `run`, as responses name it.
    provider: str
    run: Run
    # Opens the session of the whole file, which also computes heatmaps. A provider may return the session
    # that it runs classes in.
    open_whole: Callable[[], onnxruntime.InferenceSession]
    # The provider of that session.
    whole_provider: str


class Provider(Protocol):
    """An execution provider: it opens files, and says whether it can run here."""

    # The value of the setting, and the name in responses.
    name: str
    label: str
    # Whether it runs on a GPU, and so needs a device of CUDA.
    on_gpu: bool
    # The largest batch by default.
    best_batch: int
    precisions: tuple[ComputePrecision, ...]

    def available(self) -> bool:
        """Return whether its library is installed."""

    def check(self, precision: ComputePrecision) -> None:
        """Raise DeviceError, with what to install, if it cannot run here with this precision."""

    def open(self, file: ModelFile, graph: Graph, placement: Placement) -> Opened:
        """Open a file whose graph is known.

        Raises DeviceError, and ModelError if the provider cannot load the file.
        """
