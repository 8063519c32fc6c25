"""What the protocol tells of the server and of its models."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version

from spyglass_server.engine.models.model import Model
from spyglass_server.open_inference.inputs import MAX_IMAGES, input_specs
from spyglass_server.open_inference.outputs import output_specs
from spyglass_server.open_inference.tensors import TensorSpec

SERVER_NAME = "spyglass"
PLATFORM = "onnxruntime_onnx"
"""The format of model files, by the protocol's name."""
BACKEND = "onnxruntime"
MODEL_FILE = "model.onnx"
EXTENSIONS = ("classification", "model_configuration", "model_repository", "schedule_policy", "statistics")
"""The extensions of the protocol that the server has."""


@lru_cache
def server_version() -> str:
    """Return the version of the server, `unknown` if it is not installed."""
    try:
        return version("spyglass")
    except PackageNotFoundError:
        return "unknown"


@dataclass(frozen=True, slots=True)
class ModelMetadata:
    """The tensors of a model, and the versions that serve."""

    name: str
    versions: tuple[str, ...]
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    # The most images in a request.
    max_images: int = MAX_IMAGES


def metadata_of(model: Model, served: Iterable[Model]) -> ModelMetadata:
    """Return the metadata of a model; `served` are all models that the caller may use."""
    name = model.card.name
    versions = tuple(str(other.card.version) for other in served if other.card.name == name)
    return ModelMetadata(name, versions, tuple(input_specs(model)), tuple(output_specs(model)))
