"""The models: where they lie, what may be loaded, and what runs them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field
from pydantic_settings import BaseSettings

from spyglass_contract.model_files.limits import MOST_BYTES, MOST_NODES, FileLimits
from spyglass_contract.model_files.rules import FileRules
from spyglass_contract.model_files.signature import TrustedKeys
from spyglass_server.engine.cache_folder import cache_folder
from spyglass_server.engine.capacity.memory import usable_memory
from spyglass_server.engine.capacity.processors import usable_cpus
from spyglass_server.engine.models.bundled import bundled_models
from spyglass_server.engine.models.choices import (
    DEFAULT_MODELS,
    DEVICE_PATTERN,
    DEVICES,
    Precision,
    ProviderName,
)
from spyglass_server.engine.models.lifecycle.policy import EXPECTED_VERSIONS, VersionPolicy
from spyglass_server.engine.models.stores.options import CACHE_BYTES, RemoteOptions
from spyglass_server.engine.models.stores.url import EXPECTED_URL, StoreUrl
from spyglass_server.setting_values import EXPECTED, AnyCase, Names, Places, VersionTexts


def _bundled() -> list[Path | StoreUrl]:
    return [bundled_models()]


class ModelSettings(BaseSettings):
    """The models: where they lie, what may be loaded, and what runs them."""

    models: Places = Field(
        default_factory=_bundled,
        description="Folder with the models, as NAME/VERSION/model.onnx, or a URL of such a folder, such as "
        "s3://BUCKET/FOLDER or https://HOST/FOLDER; the bundled models by default.",
        json_schema_extra={EXPECTED: f"one or more folders, or {EXPECTED_URL}"},
    )
    model_cache: Path | None = Field(
        None,
        description="Folder for copies of models at URLs, which servers share; by default "
        "~/.cache/spyglass/models.",
    )
    model_cache_bytes: int = Field(
        CACHE_BYTES,
        ge=1,
        description="Bytes of the folder for copies of models, after which those go that were not used for "
        "longest.",
    )
    versions: VersionTexts = Field(
        ["latest"],
        description="Versions of each model that serve: latest, latest:N for the N highest, or all; "
        "NAME:VERSION lists the versions of one model. Versions with labels serve besides.",
        json_schema_extra={EXPECTED: EXPECTED_VERSIONS},
    )
    poll_seconds: float = Field(
        0,
        ge=0,
        le=86400,
        description="Seconds between two looks for new, changed and deleted versions; 0: only at the start "
        "and if a call of Admin requests it.",
    )
    admin: bool = Field(
        False,
        description="Offer spyglass.v1.Admin, which changes the models while they serve; with tokens "
        "it needs the scope admin.",
    )
    default_model: Names = Field(
        list(DEFAULT_MODELS),
        description="Default model: a request that names no model gets the first one of its task.",
        json_schema_extra={EXPECTED: "names of models, separated by commas"},
    )
    require_signature: Names = Field(
        [],
        description="Public key of minisign, as a file or as its text: the server loads only model files "
        "that one of these keys has signed.",
        json_schema_extra={EXPECTED: "files of public keys or their texts, separated by commas"},
    )
    max_model_bytes: int = Field(
        0,
        ge=0,
        description="Largest model with its external data, in bytes; 0: 2 GiB, or half of the usable memory "
        "if that is less.",
    )
    max_model_nodes: int = Field(
        MOST_NODES,
        ge=1,
        le=10_000_000,
        description="Largest number of nodes of a model, with those of its subgraphs and functions.",
    )
    device: Annotated[str, AnyCase] = Field(
        "auto",
        pattern=f"^({DEVICE_PATTERN})$",
        description=f"Device that runs the models: {DEVICES}; with cuda, the server does not start without a "
        "GPU.",
        json_schema_extra={EXPECTED: DEVICES},
    )
    provider: Annotated[ProviderName, AnyCase] = Field(
        "auto",
        description="Execution provider: cpu and cuda are in ONNX Runtime, openvino is an extra, tensorrt "
        "needs its libraries; auto is cuda on a GPU and otherwise cpu.",
    )
    precision: Annotated[Precision, AnyCase] = Field(
        "fp32",
        description="Precision of classes and masks: fp32 serves model.onnx as it is, int8 the file beside "
        "it, bf16 computes in fewer bits, auto takes the fastest; a reduced precision must keep the classes.",
    )
    gpu_memory_limit: int = Field(
        0, ge=0, description="Largest memory that ONNX Runtime takes on each GPU, in bytes; 0 is no limit."
    )
    engine_cache: Path | None = Field(
        None, description="Folder of the engines that TensorRT builds; by default ~/.cache/spyglass/tensorrt."
    )
    concurrency: int = Field(
        0,
        ge=0,
        le=1024,
        description="Number of requests that run at the same time, of all models; 0 is one a processor.",
    )
    threads_per_worker: int = Field(1, ge=1, le=1024, description="Number of threads of one inference.")
    max_batch: int = Field(
        0,
        ge=0,
        le=1024,
        description="Largest number of images in one inference; 0 is the size that the profile of the model "
        "found, and without a profile 1 on a CPU and 16 on a GPU.",
    )
    profile_seconds: float = Field(
        3.0,
        ge=0,
        le=600,
        description="Seconds to measure the speed of each model, while the server has no work; 0: do not use "
        "profiles.",
    )
    score_cam_channels: int = Field(
        0,
        ge=0,
        le=65536,
        description="Number of channels that Score-CAM runs, one forward pass for each; 0 is all.",
    )

    @property
    def effective_concurrency(self) -> int:
        """Requests that run at a time."""
        return self.concurrency or usable_cpus()

    @property
    def version_policy(self) -> VersionPolicy:
        """The versions that serve by themselves."""
        return VersionPolicy.parse(self.versions)

    @property
    def is_living(self) -> bool:
        """Whether models may change while they serve."""
        return self.admin or self.poll_seconds > 0

    @property
    def remote_options(self) -> RemoteOptions:
        """How models at URLs are copied to this machine."""
        folder = cache_folder()
        cache = self.model_cache.expanduser() if self.model_cache else folder and folder / "models"
        return RemoteOptions(cache, self.model_cache_bytes, self._file_limits.max_bytes)

    @property
    def _file_limits(self) -> FileLimits:
        return FileLimits(self.max_model_bytes or min(MOST_BYTES, usable_memory() // 2), self.max_model_nodes)

    @property
    def file_rules(self) -> FileRules:
        """The rules by which model files are opened. Raises InvalidInput for an invalid public key."""
        keys = TrustedKeys(self.require_signature) if self.require_signature else None
        return FileRules(self._file_limits, keys)
