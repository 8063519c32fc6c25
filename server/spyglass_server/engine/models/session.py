"""One ONNX file, open in ONNX Runtime on the requested device."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spyglass.v1.model_pb2 import TASK_SEGMENT, ModelCard
from spyglass_contract.errors import CardError, ModelError
from spyglass_contract.images.input_spec import channels
from spyglass_contract.model.card import (
    CLASS_INDEX,
    FEATURE_MAP,
    HEATMAP,
    PREDICTED,
    PROBABILITIES,
    SCORE_CAM,
    SCORES,
    read_card,
)
from spyglass_contract.onnx_runtime import onnxruntime
from spyglass_server.engine.models.choices import DEVICE_PATTERN, DEVICES

_NO_CLASSES: NDArray[np.int64] = np.empty(0, np.int64)
_CUDA, _CPU = "CUDAExecutionProvider", "CPUExecutionProvider"


class DeviceError(ModelError):
    """The requested device is missing; the server never uses another one instead."""

    default_reason = "DEVICE_UNAVAILABLE"


class Session:
    """A network that maps uint8 [batch, height, width, channels] to float32 probabilities."""

    def __init__(self, path: Path, *, device: str = "auto", threads: int = 1) -> None:
        """Open `path` on `device`: auto, cpu, cuda or cuda:N. One inference uses `threads` threads.

        Raises DeviceError, CardError, and ModelError if ONNX Runtime cannot load the file.
        """
        providers = _providers(device)
        try:
            self._session = onnxruntime.InferenceSession(
                str(path), sess_options=_options(threads), providers=providers
            )
        # ONNX Runtime's exceptions have no common base class.
        except Exception as error:
            raise ModelError(f"ONNX Runtime cannot load the file: {error}") from error
        self.provider: str = self._session.get_providers()[0]
        if device.startswith("cuda") and self.provider != _CUDA:
            raise DeviceError(
                f"the device {device} was requested, but ONNX Runtime put the model on {self.provider}"
            )
        self.card: ModelCard = read_card(self._session)
        self._check_graph()
        self.one_image: bool = self._declares_one_image()
        """True if the graph takes one image at a time."""

    def run(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Map uint8 [batch, height, width, channels] to float32 [batch, …]; safe to call from any thread."""
        feed: dict[str, NDArray[np.uint8] | NDArray[np.int64]] = {self.card.input.tensor: pixels}
        if self.card.explained_layer:
            # No index would mean the predicted class, and ONNX Runtime would compute its heatmap, fetched or
            # not.
            feed[CLASS_INDEX] = _NO_CLASSES
        (probabilities,) = self._session.run([PROBABILITIES], feed)
        output: NDArray[np.float32] = probabilities
        return output

    def explain(
        self, pixels: NDArray[np.uint8], classes: Sequence[int]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return probabilities and heatmaps, float32 [maps, height, width] in [0, 1], of one forward pass.

        A batch of several images takes one class, which is explained in each of them; a batch of one image
        takes any number. A negative index means the predicted class. The graph must compute heatmaps.
        """
        feed = {self.card.input.tensor: pixels, CLASS_INDEX: np.asarray(classes, np.int64)}
        probabilities, heatmaps = self._session.run([PROBABILITIES, HEATMAP], feed)
        return probabilities, heatmaps

    def features(
        self, pixels: NDArray[np.uint8]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
        """Return probabilities, class scores [batch, classes], and the feature map of the batch.

        The feature map is float32 [batch, channels, height, width]. The card's method must be Score-CAM.
        """
        feed = {self.card.input.tensor: pixels, CLASS_INDEX: np.full(1, PREDICTED, np.int64)}
        probabilities, scores, features = self._session.run([PROBABILITIES, SCORES, FEATURE_MAP], feed)
        return probabilities, scores, features

    def _declares_one_image(self) -> bool:
        tensor = self.card.input.tensor
        return any(entry.name == tensor and entry.shape[0] == 1 for entry in self._session.get_inputs())

    def _check_graph(self) -> None:
        """Raise CardError if the graph differs from its card."""
        spec = self.card.input
        inputs = {entry.name: entry for entry in self._session.get_inputs()}
        if spec.tensor not in inputs:
            raise CardError(f"the graph has no input {spec.tensor!r}, which the card names")
        found, expected = inputs[spec.tensor], [spec.height, spec.width, channels(spec)]
        if found.type != "tensor(uint8)" or list(found.shape[1:]) != expected:
            raise CardError(
                f"the input {spec.tensor!r} is {found.type} {found.shape}, not tensor(uint8) of "
                f"{['batch', *expected]}"
            )
        outputs = {entry.name for entry in self._session.get_outputs()}
        if PROBABILITIES not in outputs:
            raise CardError(f"the graph has no output {PROBABILITIES!r}")
        shape = next(entry.shape for entry in self._session.get_outputs() if entry.name == PROBABILITIES)
        if self.card.task == TASK_SEGMENT and len(shape) != 4:
            raise CardError(f"the card says segment; {shape} is not ['batch', 'height', 'width', 'classes']")
        optional = {entry.name for entry in self._session.get_overridable_initializers()}
        needed = {FEATURE_MAP, SCORES} if self.card.heatmap_method == SCORE_CAM else {HEATMAP}
        explains = needed <= outputs and CLASS_INDEX in optional
        if explains != bool(self.card.explained_layer):
            raise CardError(
                f"the graph has {'a' if explains else 'no'} heatmap by the method "
                f"{self.card.heatmap_method or 'gradcam'!r}, and the card names the explained layer "
                f"{self.card.explained_layer!r}"
            )


def _options(threads: int) -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # A thread that spins without work takes the core from one that has work.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    # Errors are raised as exceptions; without this ONNX Runtime prints them on standard error as well.
    options.log_severity_level = 4
    return options


def _providers(device: str) -> list[str | tuple[str, dict[str, str]]]:
    if not re.fullmatch(DEVICE_PATTERN, device):
        raise DeviceError(f"the device must be {DEVICES}, not {device!r}")
    if device == "cpu":
        return [_CPU]
    if _CUDA in onnxruntime.get_available_providers():
        # TF32 has 10 bits of mantissa: its probabilities differ from those in the certificate.
        cuda = {"device_id": device.partition(":")[2] or "0", "use_tf32": "0"}
        return [(_CUDA, cuda), _CPU]
    if device == "auto":
        return [_CPU]
    raise DeviceError(
        f"the device {device} was requested, but this ONNX Runtime has no CUDA: install onnxruntime-gpu"
    )
