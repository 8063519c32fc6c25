"""The results of calls: typed, immutable, and convertible to JSON."""

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
    """One class and its probability in [0, 1]."""

    index: int
    name: str
    score: float

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON has them, the score with six decimals."""
        return {**asdict(self), "score": round(self.score, 6)}


@dataclass(frozen=True)
class ServedBy:
    """The model that made a result, and the execution provider that ran it."""

    name: str
    version: int
    # Of the model file, lower-case hexadecimal.
    sha256: str
    # The execution provider, such as CPUExecutionProvider or OpenVINO.
    provider: str
    # The precision that computed the result: fp32, bf16 or int8.
    precision: str = "fp32"

    def to_dict(self) -> dict[str, Any]:
        """Return name, version and precision."""
        return {"name": self.name, "version": self.version, "precision": self.precision}


@dataclass(frozen=True)
class Timing:
    """The times of a request on the server, in milliseconds; they do not include the network."""

    decode_ms: float
    queue_ms: float
    inference_ms: float
    encode_ms: float
    # The number of images in the batch.
    batch_size: int
    # The response comes from the server's cache: the server ran no network for it.
    cached: bool = False

    def to_dict(self) -> dict[str, float]:
        """Return the four times as JSON has them, with three decimals."""
        return {
            "decode": round(self.decode_ms, 3),
            "queue": round(self.queue_ms, 3),
            "inference": round(self.inference_ms, 3),
            "encode": round(self.encode_ms, 3),
        }

    def origin(self) -> dict[str, bool]:
        """Return `{"cached": True}` for a response from the server's cache, else nothing."""
        return {"cached": True} if self.cached else {}


@dataclass(frozen=True)
class Classification:
    """The classes of one image, best first."""

    classes: tuple[ClassScore, ...]
    model: ServedBy
    timing: Timing
    # The id in the request; in a stream the number of the image, from 0.
    id: str = ""
    error: ClassVar[None] = None

    @property
    def best(self) -> ClassScore:
        """The most probable class."""
        return self.classes[0]

    def to_dict(self) -> dict[str, Any]:
        """Return the result as JSON has it: scores with six decimals, times in milliseconds with three."""
        return {
            "model": self.model.to_dict(),
            "classes": [entry.to_dict() for entry in self.classes],
            "timing_ms": self.timing.to_dict(),
            **self.timing.origin(),
        }


@dataclass(frozen=True)
class Failure:
    """The error of one image of a stream; the property `best` raises it."""

    error: SpyglassError
    id: str = field(default="")

    @property
    def best(self) -> NoReturn:
        """Raises `error`."""
        raise self.error

    def to_dict(self) -> dict[str, Any]:
        """Return `{"error": {"code", "reason", "message"}}`."""
        return {
            "error": {
                "code": status_code(self.error),
                "reason": self.error.reason,
                "message": self.error.message,
            }
        }


def read_classification(reply: ClassifyResponse | HeatmapResponse) -> Classification:
    """Return the classes in a response without an error."""
    return Classification(
        classes=tuple(read_score(entry) for entry in reply.classes),
        model=read_model(reply.served_by),
        timing=read_timing(reply.timing),
        id=reply.id,
    )


def read_score(score: reply_pb2.ClassScore) -> ClassScore:
    return ClassScore(score.index, score.name, score.score)


def read_model(served_by: reply_pb2.ServedBy) -> ServedBy:
    return ServedBy(
        served_by.model,
        served_by.version,
        served_by.sha256,
        served_by.provider,
        # Early servers computed in fp32, and did not say so.
        served_by.precision or "fp32",
    )


def read_timing(timing: reply_pb2.Timing) -> Timing:
    return Timing(
        timing.decode_ms,
        timing.queue_ms,
        timing.inference_ms,
        timing.encode_ms,
        timing.batch_size,
        timing.cached,
    )
