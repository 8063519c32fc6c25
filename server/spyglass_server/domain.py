"""What goes in and out of the data plane; no protocol knows these and these know no protocol."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spyglass.v1.heatmap_pb2 import HeatmapFormat
from spyglass.v1.segment_pb2 import MaskFormat
from spyglass_contract.errors import InvalidInput
from spyglass_contract.images.geometry import Box


@dataclass(frozen=True)
class ModelSelector:
    """A model by name, and by version or label; empty: the default model, the highest version."""

    name: str = ""
    version: int | None = None
    label: str = ""

    def __post_init__(self) -> None:
        if not self.name and (self.version is not None or self.label):
            raise InvalidInput(
                "a version or label without the model's name", reason="MODEL_NAME_MISSING", field="model.name"
            )

    def __str__(self) -> str:
        version = f":{self.version}" if self.version is not None else ""
        label = f"@{self.label}" if self.label else ""
        return f"{self.name}{version}{label}"


@dataclass(frozen=True)
class ClassScore:
    """One class and its probability in [0, 1]."""

    index: int
    name: str
    score: float


@dataclass(frozen=True)
class ServedBy:
    """Which model answered, and on what."""

    model: str
    version: int
    # Of the model file, lower-case hexadecimal.
    sha256: str
    # The ONNX Runtime execution provider.
    provider: str


@dataclass(frozen=True)
class Timing:
    """Where the time of one request went, in milliseconds."""

    decode_ms: float
    queue_ms: float
    inference_ms: float
    encode_ms: float
    # How many images ran through the network together.
    batch_size: int


@dataclass(frozen=True)
class Classification:
    """The classes asked for, best first."""

    classes: tuple[ClassScore, ...]
    served_by: ServedBy
    timing: Timing


Target = int | str | None
"""A class to explain by its index or its name; None: the predicted one."""


@dataclass(frozen=True)
class DrawnMap:
    """A heatmap in the form that was asked for."""

    height: int
    width: int
    format: HeatmapFormat.ValueType
    # A PNG, or float32 [height, width], little-endian, in [0, 1].
    data: bytes
    # Nothing in the image speaks for the class.
    all_zero: bool


@dataclass(frozen=True)
class ExplainedClass:
    """Where in the image the network saw one class."""

    target: ClassScore
    heatmap: DrawnMap


@dataclass(frozen=True)
class Explanation:
    """The classes asked for, best first, and the maps of the targets, in their order."""

    explained: tuple[ExplainedClass, ...]
    classes: tuple[ClassScore, ...]
    # The feature map that the heatmaps were computed from.
    layer: str
    # Of the upright image, in pixels.
    width: int
    height: int
    # The part of the image's plane that the network saw, in the image's pixels.
    box: Box
    served_by: ServedBy
    timing: Timing


@dataclass(frozen=True)
class Refinement:
    """What is known of a class beforehand: that there is one thing of it, or that it has no holes."""

    # By its index or its name.
    target: int | str
    largest_component: bool = False
    fill_holes: bool = False


@dataclass(frozen=True)
class RunLengths:
    """COCO's run lengths of one class, in one of their two forms; the other is empty."""

    class_index: int
    # uint32 [runs], of zeros and ones in turn.
    counts: NDArray[np.uint32]
    # ASCII.
    compressed: bytes


@dataclass(frozen=True)
class DrawnMask:
    """A mask in the form that was asked for."""

    height: int
    width: int
    format: MaskFormat.ValueType
    # A PNG, or uint8 [height, width]; empty where there are runs.
    data: bytes
    # One for each class, in their order; empty where there are data.
    runs: tuple[RunLengths, ...]


@dataclass(frozen=True)
class SoftMap:
    """The probability of one class over the pixels of a mask."""

    class_index: int
    height: int
    width: int
    # A grey PNG: 255 times the probability, 0 where the network did not look.
    data: bytes


@dataclass(frozen=True)
class SegmentedClass:
    """One class and what there is of it in a mask."""

    index: int
    name: str
    pixels: int
    # Of the mask's pixels, in [0, 1].
    fraction: float
    # The mean probability of the class over its own pixels, 0 where it has none.
    mean_score: float
    # As drawn, `#rrggbb`.
    color: str


@dataclass(frozen=True)
class Segmentation:
    """The mask, and every class of the model in the order of their indices."""

    mask: DrawnMask
    classes: tuple[SegmentedClass, ...]
    # Only where one was asked for.
    soft: SoftMap | None
    # Of the upright image, in pixels.
    width: int
    height: int
    # The part of the image's plane that the network saw, in the image's pixels.
    box: Box
    served_by: ServedBy
    timing: Timing
