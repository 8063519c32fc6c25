"""The outputs of a request: what one image contributes to each, and the tensors of the whole batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from spyglass.v1.model_pb2 import TASK_SEGMENT
from spyglass_contract.errors import InvalidInput
from spyglass_contract.heatmaps.overlay import map_to_size
from spyglass_contract.images.geometry import input_box
from spyglass_contract.images.pixels import Prepared
from spyglass_contract.masks.placement import VOID
from spyglass_contract.model.card import HEATMAP, PROBABILITIES
from spyglass_server.engine.models.model import Model
from spyglass_server.engine.text import quoted
from spyglass_server.heatmaps.explain import check_explains
from spyglass_server.masks.seen_cells import SeenCells
from spyglass_server.open_inference.parameters import check_in_message, classification
from spyglass_server.open_inference.tensors import (
    BYTES,
    FP32,
    UINT8,
    OutputTensor,
    RequestedOutput,
    TensorSpec,
)

MASK = "mask"
"""The name of the output with the most probable class of each cell."""

# One for each output that a model can have, as often as a request may name it.
_MOST_OUTPUTS = 16

Part = Any
"""What one image contributes to an output."""


@dataclass(slots=True)
class ImageOutput:
    """The output of a network for one image."""

    # float32 [classes], or [rows, columns, classes] of a segmentation model.
    probabilities: NDArray[np.float32]
    prepared: Prepared
    # float32 [height, width] of the feature map's size; None: the request has no heatmap.
    heatmap: NDArray[np.float32] | None = None


class Output(Protocol):
    """An output of a request."""

    def part(self, image: ImageOutput) -> Part:
        """Return what one image contributes."""

    def joined(self, parts: Sequence[Part]) -> OutputTensor:
        """Return the tensor of a batch, of at least one image."""


@dataclass(frozen=True, slots=True)
class Probabilities:
    """FP32 [batch, classes], or [batch, rows, columns, classes] of a segmentation model."""

    def part(self, image: ImageOutput) -> NDArray[np.float32]:
        return image.probabilities

    def joined(self, parts: Sequence[Part]) -> OutputTensor:
        return _stacked(PROBABILITIES, FP32, parts)


@dataclass(frozen=True, slots=True)
class Classification:
    """BYTES [batch, count]: the most probable classes as `probability:index:name`, best first."""

    class_names: tuple[str, ...]
    count: int

    def part(self, image: ImageOutput) -> list[bytes]:
        order = np.argsort(-image.probabilities, kind="stable")[: self.count]
        scores = image.probabilities[order].tolist()
        return [
            f"{score:f}:{index}:{self.class_names[index]}".encode()
            for index, score in zip(order.tolist(), scores, strict=True)
        ]

    def joined(self, parts: Sequence[Part]) -> OutputTensor:
        texts = [text for part in parts for text in part]
        return OutputTensor(PROBABILITIES, BYTES, (len(parts), self.count), texts)


@dataclass(frozen=True, slots=True)
class Heatmap:
    """FP32 [batch, height, width] in [0, 1], of the size of the network's input."""

    width: int
    height: int

    def part(self, image: ImageOutput) -> NDArray[np.float32]:
        return map_to_size(cast(NDArray[np.float32], image.heatmap), self.width, self.height)

    def joined(self, parts: Sequence[Part]) -> OutputTensor:
        return _stacked(HEATMAP, FP32, parts)


@dataclass(frozen=True, slots=True)
class Mask:
    """UINT8 [batch, rows, columns] of the size of the network's output: the most probable class.

    VOID stands for cells that lie outside of the image. A model has at most 255 classes.
    """

    model: Model

    def part(self, image: ImageOutput) -> NDArray[np.uint8]:
        prepared, output = image.prepared, image.probabilities
        box = input_box(prepared.placement, self.model.card.input)
        seen = SeenCells.of(box, prepared.width, prepared.height, output.shape[:2])
        return seen.spread(seen.select(output).argmax(axis=2).astype(np.uint8), VOID)

    def joined(self, parts: Sequence[Part]) -> OutputTensor:
        return _stacked(MASK, UINT8, parts)


def output_specs(model: Model) -> list[TensorSpec]:
    """Return the outputs of a model; a size that only its network knows is -1."""
    classes, spec = len(model.class_names), model.card.input
    if model.task == TASK_SEGMENT:
        return [
            TensorSpec(PROBABILITIES, FP32, (-1, -1, -1, classes)),
            TensorSpec(MASK, UINT8, (-1, -1, -1)),
        ]
    found = [TensorSpec(PROBABILITIES, FP32, (-1, classes))]
    if model.card.explained_layer:
        found.append(TensorSpec(HEATMAP, FP32, (-1, spec.height, spec.width)))
    return found


def outputs_of(requested: Sequence[RequestedOutput], model: Model) -> dict[str, Output]:
    """Return the outputs of a request by name, in its order; of an empty request the default ones.

    By default these are `probabilities`, and `mask` of a segmentation model. Raises InvalidInput for unknown
    and repeated outputs and for classes of another output than the probabilities of an image,
    FailedPrecondition for the heatmap of a model without heatmaps, and Unimplemented for shared memory.
    """
    if not requested:
        return _default_outputs(model)
    if len(requested) > _MOST_OUTPUTS:
        raise InvalidInput(
            f"a request may name {_MOST_OUTPUTS} outputs, not {len(requested):,}",
            reason="TOO_MANY_OUTPUTS",
            field="outputs",
        )
    found: dict[str, Output] = {}
    for entry in requested:
        if entry.name in found:
            raise InvalidInput(
                f"the request names the output {quoted(entry.name)} twice",
                reason="OUTPUT_REPEATED",
                field="outputs.name",
            )
        found[entry.name] = _output(entry, model)
    return found


def _default_outputs(model: Model) -> dict[str, Output]:
    if model.task == TASK_SEGMENT:
        return {PROBABILITIES: Probabilities(), MASK: Mask(model)}
    return {PROBABILITIES: Probabilities()}


def _output(entry: RequestedOutput, model: Model) -> Output:
    check_in_message(entry)
    segments = model.task == TASK_SEGMENT
    count = classification(entry)
    if count and (segments or entry.name != PROBABILITIES):
        raise InvalidInput(
            "only the output probabilities of a classifier can be returned as classes: remove the parameter "
            f"classification of the output {quoted(entry.name)}",
            reason="CLASSIFICATION_INVALID",
            field="outputs.parameters",
        )
    if entry.name == PROBABILITIES:
        names = model.class_names
        return Classification(names, min(count, len(names))) if count else Probabilities()
    if entry.name == MASK and segments:
        return Mask(model)
    if entry.name == HEATMAP and not segments:
        check_explains(model)
        return Heatmap(model.card.input.width, model.card.input.height)
    known = ", ".join(spec.name for spec in output_specs(model))
    raise InvalidInput(
        f"{model.card.name} has no output {quoted(entry.name)}; it has {known}",
        reason="OUTPUT_UNKNOWN",
        field="outputs.name",
    )


def _stacked(name: str, datatype: str, parts: Sequence[Part]) -> OutputTensor:
    values = parts[0][np.newaxis] if len(parts) == 1 else np.stack(parts)
    return OutputTensor(name, datatype, values.shape, values)
