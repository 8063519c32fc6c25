"""The models that a server has."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from spyglass.v1 import model_pb2
from spyglass.v1.model_pb2 import GetModelResponse, ListModelsResponse, ModelCard

Task = Literal["classify", "segment"]
TaskName = Literal["classify", "segment", "unknown"]

TASKS: dict[Task, model_pb2.Task.ValueType] = {
    "classify": model_pb2.TASK_CLASSIFY,
    "segment": model_pb2.TASK_SEGMENT,
}
_TASK_NAMES: dict[int, TaskName] = {number: name for name, number in TASKS.items()}


@dataclass(frozen=True)
class ProfiledRun:
    """A way to run a model, and its measured speed."""

    # Images of each inference, threads of each inference, and inferences side by side.
    batch: int
    threads: int
    at_once: int
    # Of each inference.
    seconds: float
    # Of all inferences side by side.
    images_per_second: float


@dataclass(frozen=True)
class Profile:
    """The measured speed of a model on a server, and the decisions that follow from it."""

    # ISO 8601, UTC.
    measured: str
    # The largest batch that a busy server should form.
    max_batch: int
    # The threads of an inference while no other request needs the processors.
    wide_threads: int
    # Of an inference of one image alone.
    image_seconds: float
    runs: tuple[ProfiledRun, ...]


@dataclass(frozen=True)
class ServedModel:
    """A model as the server runs it."""

    name: str
    version: int
    task: TaskName
    # Of the model file, lower-case hexadecimal.
    sha256: str
    # The execution provider, such as CPUExecutionProvider or OpenVINO.
    provider: str
    # True if a request of this task that names no model gets this one.
    is_default: bool
    class_count: int
    # Inferences at a time of all models, threads for each of them, and the largest batch.
    workers: int
    threads_per_worker: int
    max_batch: int
    # The precision that classes and masks are computed in: fp32, bf16 or int8. Heatmaps stay in fp32.
    precision: str = "fp32"
    # None: the server has not measured the model.
    profile: Profile | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON has them."""
        return asdict(self)


@dataclass(frozen=True)
class ModelDetails:
    """A model's card, which is the protobuf message inside its file, and how the server runs it.

    `seen` has the statistics of the images that the server has seen of late, as a protobuf message; None: it
    keeps none, or has seen no image.
    """

    card: ModelCard
    served: ServedModel
    seen: model_pb2.Statistics | None = None


def read_models(reply: ListModelsResponse) -> tuple[ServedModel, ...]:
    """Return the models in the server's order: by name, then version."""
    return tuple(_read_served(model) for model in reply.models)


def read_details(reply: GetModelResponse) -> ModelDetails:
    seen = reply.seen if reply.HasField("seen") else None
    return ModelDetails(reply.card, _read_served(reply.served), seen)


def _read_served(model: model_pb2.ServedModel) -> ServedModel:
    return ServedModel(
        name=model.name,
        version=model.version,
        task=_TASK_NAMES.get(model.task, "unknown"),
        sha256=model.sha256,
        provider=model.provider,
        is_default=model.is_default,
        class_count=model.class_count,
        workers=model.workers,
        threads_per_worker=model.threads_per_worker,
        max_batch=model.max_batch,
        precision=model.precision or "fp32",
        profile=_read_profile(model.profile) if model.HasField("profile") else None,
    )


def _read_profile(profile: model_pb2.Profile) -> Profile:
    return Profile(
        measured=profile.measured,
        max_batch=profile.max_batch,
        wide_threads=profile.wide_threads,
        image_seconds=profile.image_seconds,
        runs=tuple(
            ProfiledRun(run.batch, run.threads, run.at_once, run.seconds, run.images_per_second)
            for run in profile.runs
        ),
    )
