"""An exported file made into a model with heatmaps, and what that model computes."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from spyglass.v1.model_pb2 import ModelCard
from spyglass_contract.model.card import CLASS_INDEX, HEATMAP, PROBABILITIES, read_card
from spyglass_contract.onnx_runtime import onnxruntime
from spyglass_export.adopting.adopt import adopt
from spyglass_export.adopting.golden_images import made_images
from spyglass_export.adopting.onnx_file import open_model
from spyglass_export.adopting.preprocessing import Preprocessing
from spyglass_export.draft import draft_adopted
from zoo.images import CLASSES, MEAN, STD


class AdoptedModel:
    """A model file with a heatmap, in ONNX Runtime on one thread."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self._model = model
        self._session = _session(model)
        self.card: ModelCard = read_card(self._session)
        self._image = self.card.input.tensor
        # A file may take one image at a time.
        self.takes_batches = self._session.get_inputs()[0].shape[0] != 1

    def heatmaps(self, pixels: NDArray[np.uint8], classes: Sequence[int]) -> NDArray[np.float32]:
        """Return the maps [rows, height, width] of a class an image, or of several classes of one image."""
        feeds = {self._image: pixels, CLASS_INDEX: np.array(classes, np.int64)}
        maps: NDArray[np.float32] = self._session.run([HEATMAP], feeds)[0]
        return maps

    def probabilities(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the probabilities [batch, classes]."""
        found: NDArray[np.float32] = self._session.run([PROBABILITIES], {self._image: pixels})[0]
        return found

    def tensor(self, name: str, pixels: NDArray[np.uint8]) -> NDArray[np.float32] | None:
        """Return an inner tensor for an image, None if the file has no tensor of that name."""
        if name not in {output for node in self._model.graph.node for output in node.output}:
            return None
        opened = onnx.ModelProto()
        opened.CopyFrom(self._model)
        del opened.graph.output[:]
        opened.graph.output.append(onnx.ValueInfoProto(name=name))
        found: NDArray[np.float32] = _session(opened).run([name], {self._image: pixels})[0]
        return found.astype(np.float32)

    def cost(self, pixels: NDArray[np.uint8], seconds: float) -> tuple[float, float]:
        """Return the milliseconds of processor time without and with the heatmap of the predicted class.

        Medians of rounds that run both, for `seconds` in all. The file without a heatmap is the same graph
        without the branch that computes it.
        """
        plain = _session(without_heatmap(self._model))
        feeds = {self._image: pixels}
        calls = (lambda: plain.run(None, feeds), lambda: self._session.run(None, feeds))
        spent: list[tuple[float, ...]] = []
        until = time.monotonic() + seconds
        while time.monotonic() < until or len(spent) < 5:
            spent.append(tuple(_milliseconds(call) for call in calls))
        before, after = (statistics.median(column) for column in zip(*spent[2:], strict=True))
        return before, after


def adopted(path: Path, key: str, side: int) -> AdoptedModel:
    """Adopt a file as a user does, and return the written model. Raises SpyglassError if that is refused."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / key.lower() / "1"
        names = [f"class {number}" for number in range(CLASSES)]
        card = draft_adopted(path, target, class_names=names, size=(side, side), resize="stretch")
        preprocessing = Preprocessing(1 / 255, MEAN, STD)
        adopt(open_model(path), card, preprocessing, made_images(), target / "model.onnx")
        return AdoptedModel(onnx.load(target / "model.onnx"))


def without_heatmap(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy of a model without its heatmap: its only output is `probabilities`."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    graph = copy.graph
    kept = [value for value in graph.output if value.name == PROBABILITIES]
    del graph.output[:]
    graph.output.extend(kept)
    needed = {PROBABILITIES}
    nodes = []
    for node in reversed(graph.node):
        if needed.intersection(node.output):
            needed.update(_read(node))
            nodes.append(node)
    del graph.node[:]
    graph.node.extend(reversed(nodes))
    inputs = [value for value in graph.input if value.name != CLASS_INDEX]
    weights = [tensor for tensor in graph.initializer if tensor.name != CLASS_INDEX]
    del graph.input[:], graph.initializer[:]
    graph.input.extend(inputs)
    graph.initializer.extend(weights)
    return copy


def _read(node: onnx.NodeProto) -> set[str]:
    found = set(node.input)
    for attribute in node.attribute:
        for inner in (attribute.g, *attribute.graphs):
            for each in inner.node:
                found |= _read(each)
    return found


def _session(model: onnx.ModelProto) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])


def _milliseconds(call: Callable[[], object]) -> float:
    # A single thread: the caller's own.
    started = time.thread_time()
    call()
    return 1e3 * (time.thread_time() - started)
