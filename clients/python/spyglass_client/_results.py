"""What comes back: typed, frozen, and as JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar, NoReturn

from spyglass.v1 import reply_pb2
from spyglass.v1.classify_pb2 import ClassifyResponse
from spyglass.v1.heatmap_pb2 import HeatmapResponse
from spyglass_contract.errors import SpyglassError
from spyglass_contract.status_codes import status_code

Target = int | str
"""A class by its index or its name."""


@dataclass(frozen=True)
class ClassScore:
    """One class and how probable the model finds it, in [0, 1]."""

    index: int
    name: str
    score: float

    def to_dict(self) -> dict[str, Any]:
        """The same as JSON has it, the score to six decimals."""
        return {**asdict(self), "score": round(self.score, 6)}


@dataclass(frozen=True)
class AnsweringModel:
    """Which model answered, and on what."""

    name: str
    version: int
    # Of the model file, lower-case hexadecimal.
    sha256: str
    # The ONNX Runtime execution provider, such as CPUExecutionProvider.
    provider: str

    def to_dict(self) -> dict[str, Any]:
        """Its name and version, which are all that most readers want of it."""
        return {"name": self.name, "version": self.version}


@dataclass(frozen=True)
class Timing:
    """Where the server's time went, in milliseconds; the way there and back is not in it."""

    decode_ms: float
    queue_ms: float
    inference_ms: float
    encode_ms: float
    # How many images ran through the network together with this one.
    batch_size: int

    def to_dict(self) -> dict[str, float]:
        """The four times as JSON has them, to three decimals."""
        return {
            "decode": round(self.decode_ms, 3),
            "queue": round(self.queue_ms, 3),
            "inference": round(self.inference_ms, 3),
            "encode": round(self.encode_ms, 3),
        }


@dataclass(frozen=True)
class Classification:
    """The classes of one image, best first."""

    classes: tuple[ClassScore, ...]
    model: AnsweringModel
    timing: Timing
    # As the request gave it; where many are asked about at once the image's number, from 0.
    id: str = ""
    error: ClassVar[None] = None

    @property
    def best(self) -> ClassScore:
        """The most probable class."""
        return self.classes[0]

    def to_dict(self) -> dict[str, Any]:
        """The answer as JSON has it: scores to six decimals, times in milliseconds to three."""
        return {
            "model": self.model.to_dict(),
            "classes": [entry.to_dict() for entry in self.classes],
            "timing_ms": self.timing.to_dict(),
        }


@dataclass(frozen=True)
class Failure:
    """One image of many that has no answer; to ask for its `best` raises why."""

    error: SpyglassError
    id: str = field(default="")

    @property
    def best(self) -> NoReturn:
        """Raises `error`."""
        raise self.error

    def to_dict(self) -> dict[str, Any]:
        """`{"error": {"code", "reason", "message"}}`."""
        return {
            "error": {
                "code": status_code(self.error),
                "reason": self.error.reason,
                "message": self.error.message,
            }
        }


Answer = Classification | Failure


def read_classification(reply: ClassifyResponse | HeatmapResponse) -> Classification:
    """The classes in a reply that holds no error."""
    return Classification(
        classes=tuple(read_score(entry) for entry in reply.classes),
        model=read_model(reply.served_by),
        timing=read_timing(reply.timing),
        id=reply.id,
    )


def read_score(score: reply_pb2.ClassScore) -> ClassScore:
    return ClassScore(score.index, score.name, score.score)


def read_model(served_by: reply_pb2.ServedBy) -> AnsweringModel:
    return AnsweringModel(served_by.model, served_by.version, served_by.sha256, served_by.provider)


def read_timing(timing: reply_pb2.Timing) -> Timing:
    return Timing(timing.decode_ms, timing.queue_ms, timing.inference_ms, timing.encode_ms, timing.batch_size)
