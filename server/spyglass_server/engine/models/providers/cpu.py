"""ONNX Runtime's own provider for processors."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from spyglass_contract.model.card import CLASS_INDEX, PROBABILITIES
from spyglass_contract.model_files.model_file import ModelFile
from spyglass_contract.onnx_runtime import onnxruntime
from spyglass_server.engine.models.choices import ComputePrecision
from spyglass_server.engine.models.providers.graph import Graph
from spyglass_server.engine.models.providers.onnx_sessions import CPU, open_session, session_options
from spyglass_server.engine.models.providers.placement import Placement
from spyglass_server.engine.models.providers.provider import Opened, Run


class Cpu:
    """ONNX Runtime's own provider: one session for classes and heatmaps.

    `docs/performance.md` has what does not make a run of one image cheaper here: a fixed batch, a graph
    without the heatmap, and bound inputs and outputs.
    """

    name, label = "cpu", CPU
    on_gpu = False
    # Convolutional networks are fastest one image a run, with many runs at a time.
    best_batch = 1
    precisions: tuple[ComputePrecision, ...] = ("fp32",)

    def available(self) -> bool:
        """Return True: every ONNX Runtime has this provider."""
        return True

    def check(self, precision: ComputePrecision) -> None:
        """Raise nothing: it runs everywhere."""

    def open(self, file: ModelFile, graph: Graph, placement: Placement) -> Opened:
        """Open a session; see `Provider.open`."""
        session = open_on_cpu(file, placement.threads)
        return Opened(
            provider=CPU,
            run=classes_run(session, graph),
            open_whole=lambda: session,
            whole_provider=CPU,
        )


def open_on_cpu(file: ModelFile, threads: int) -> onnxruntime.InferenceSession:
    """Open a session of the whole file on the processor. Raises ModelError."""
    return open_session(file, session_options(threads), [CPU])


def classes_run(session: onnxruntime.InferenceSession, graph: Graph) -> Run:
    """Return a function that computes the probabilities, and no heatmap, in a session of the whole file."""
    tensor = graph.card.input.tensor
    # No index would mean the predicted class, and ONNX Runtime would compute its heatmap, fetched or not.
    no_class = {CLASS_INDEX: np.empty(0, np.int64)} if graph.explains else {}

    def run(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        (probabilities,) = session.run([PROBABILITIES], {tensor: pixels, **no_class})
        output: NDArray[np.float32] = probabilities
        return output

    return run
