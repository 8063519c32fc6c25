"""What goes in and out of the data plane; no protocol knows these and these know no protocol."""

from __future__ import annotations

from dataclasses import dataclass

from spyglass_contract.errors import InvalidInput


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
    # How many pictures ran through the network together.
    batch_size: int


@dataclass(frozen=True)
class Classification:
    """The classes asked for, best first."""

    classes: tuple[ClassScore, ...]
    served_by: ServedBy
    timing: Timing
