"""One ONNX file, open at the execution provider that the settings choose."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spyglass.v1.model_pb2 import ModelCard
from spyglass_contract.errors import CertificateError
from spyglass_contract.model.card import CLASS_INDEX, FEATURE_MAP, HEATMAP, PREDICTED, PROBABILITIES, SCORES
from spyglass_contract.model.certificate import verify
from spyglass_contract.model_files.rules import FileRules
from spyglass_contract.onnx_runtime import onnxruntime
from spyglass_server.engine.models.choices import ComputePrecision
from spyglass_server.engine.models.providers.cpu import classes_run
from spyglass_server.engine.models.providers.graph import Graph, read_graph
from spyglass_server.engine.models.providers.lazily import Lazily
from spyglass_server.engine.models.providers.placement import DeviceError as DeviceError
from spyglass_server.engine.models.providers.placement import Placement
from spyglass_server.engine.models.providers.provider import Opened
from spyglass_server.engine.models.providers.registry import choose, open_file


class Session:
    """A network that maps uint8 [batch, height, width, channels] to float32 probabilities.

    Classes run at the chosen provider. Heatmaps run in float32 in a session of the whole file: the same
    session if the provider is ONNX Runtime's own, and else one that the first heatmap opens.
    """

    def __init__(
        self,
        path: Path,
        *,
        device: str = "auto",
        threads: int = 1,
        provider: str = "auto",
        precision: ComputePrecision = "fp32",
        parallel_runs: int = 1,
        max_batch: int = 0,
        gpu_memory_limit: int = 0,
        engine_cache: Path | None = None,
        rules: FileRules | None = None,
    ) -> None:
        """Open `path`; `Placement` describes the settings, and `choose` the provider.

        `rules` say which files may be opened; None: those within the default limits.

        Raises DeviceError, CardError, and ModelError if `rules` do not allow the file, or if the provider
        cannot load it.
        """
        placement = Placement(
            device,
            threads,
            parallel_runs,
            precision,
            max_batch,
            gpu_memory_limit,
            engine_cache,
        )
        # A wrong setting is named before a wrong file.
        choose(provider, placement)
        file = (rules or FileRules()).open(path)
        self.sha256: str = file.sha256
        """The SHA-256 of the file."""
        self.external: bool = bool(file.external)
        """Whether tensors are in other files, which `sha256` does not cover."""
        self._graph = read_graph(file)
        self.card: ModelCard = self._graph.card
        self._opened = open_file(provider, file, self._graph, placement)
        file.release()
        self.provider: str = self._opened.provider
        self.precision: ComputePrecision = precision
        self.heatmap_provider: str = self._opened.whole_provider
        """The provider of `explain` and `features`, which compute in float32."""
        self.one_image: bool = self._graph.one_image
        """True if the graph takes one image at a time."""
        self._run = self._opened.run
        # Without a reference to this session: a cycle would keep its memory until Python looks for cycles.
        self._whole = Lazily(partial(_open_whole, self._opened, self._graph))

    def run(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Map uint8 [batch, height, width, channels] to float32 [batch, …]; safe to call from any thread."""
        return self._run(pixels)

    def explain(
        self, pixels: NDArray[np.uint8], classes: Sequence[int]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return probabilities and heatmaps, float32 [maps, height, width] in [0, 1], of one forward pass.

        A batch of several images takes one class, which is explained in each of them; a batch of one image
        takes any number. A negative index means the predicted class. The graph must compute heatmaps.
        """
        feed = {self.card.input.tensor: pixels, CLASS_INDEX: np.asarray(classes, np.int64)}
        probabilities, heatmaps = self._whole.get().run([PROBABILITIES, HEATMAP], feed)
        return probabilities, heatmaps

    def features(
        self, pixels: NDArray[np.uint8]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
        """Return probabilities, class scores [batch, classes], and the feature map of the batch.

        The feature map is float32 [batch, channels, height, width]. The card's method must be Score-CAM.
        """
        feed = {self.card.input.tensor: pixels, CLASS_INDEX: np.full(1, PREDICTED, np.int64)}
        probabilities, scores, features = self._whole.get().run([PROBABILITIES, SCORES, FEATURE_MAP], feed)
        return probabilities, scores, features


def _open_whole(opened: Opened, graph: Graph) -> onnxruntime.InferenceSession:
    session = opened.open_whole()
    if opened.whole_provider != opened.provider:
        try:
            verify(graph.card, classes_run(session, graph))
        except CertificateError as error:
            name = f"{graph.card.name} on {opened.whole_provider}"
            raise CertificateError(f"{name}: {error.message}") from error
    return session
