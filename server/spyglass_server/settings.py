"""Every setting of the server: the same name as a flag, as SPYGLASS_… in the environment, and in YAML."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError
from pydantic_settings import (
    BaseSettings,
    CliSettingsSource,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    YamlConfigSettingsSource,
)

from spyglass_contract.errors import InvalidInput, SpyglassError
from spyglass_server.engine.bundled import bundled_models
from spyglass_server.engine.memory import usable_memory
from spyglass_server.engine.processors import usable_cpus
from spyglass_server.engine.repository import DEFAULT_MODELS

_MESSAGE_BYTES_BESIDE_IMAGE = 1024 * 1024


class ServerSettings(BaseSettings):
    """Flags win over the environment, the environment over the file, the file over the defaults."""

    model_config = SettingsConfigDict(env_prefix="SPYGLASS_", extra="forbid", frozen=True)

    config: Path | None = Field(None, description="A YAML file with any of these settings.")
    models: Path = Field(
        default_factory=bundled_models,
        description="The folder of models, NAME/VERSION/model.onnx; the bundled ones where none is given.",
    )
    versions: Literal["latest", "all"] = Field(
        "latest", description="Which versions of each model are loaded: the highest, or all."
    )
    default_model: list[str] = Field(
        list(DEFAULT_MODELS),
        description="The models that a request without a name means, the first of its task.",
    )
    host: str = Field("[::]", description="The address to listen on.")
    port: int = Field(50051, ge=0, le=65535, description="The port to listen on; 0: any free one.")
    device: str = Field(
        "auto",
        pattern=r"^(auto|cpu|cuda(:\d+)?)$",
        description="auto, cpu, cuda or cuda:N. Asked for cuda, the server does not start without it.",
    )
    workers: int = Field(
        0, ge=0, le=1024, description="Inferences at once for each model; 0: one for each usable processor."
    )
    threads_per_worker: int = Field(1, ge=1, le=1024, description="Threads that share one inference.")
    max_batch: int = Field(
        0, ge=0, le=1024, description="Images that run together at most; 0: 1 on a CPU, 16 on a GPU."
    )
    score_cam_channels: int = Field(
        0,
        ge=0,
        le=65536,
        description="Channels that Score-CAM tries, a forward pass for each; 0: all of them.",
    )
    max_in_flight: int = Field(
        0, ge=0, le=4096, description="Requests inside at a time; 0: 8 for each processor, at least 64."
    )
    max_streams: int = Field(16, ge=1, le=1024, description="Streaming calls open at a time.")
    max_image_bytes: int = Field(
        32 * 1024 * 1024, ge=1, le=512 * 1024 * 1024, description="The largest file of an image, in bytes."
    )
    # Pillow itself refuses what has more than 178 megapixels.
    max_image_pixels: int = Field(
        64 * 1024 * 1024, ge=1, le=128 * 1024 * 1024, description="The largest image, in pixels."
    )
    grace_seconds: float = Field(
        20.0, ge=0, le=3600, description="How long running requests may go on after SIGTERM, in seconds."
    )
    log_format: Literal["console", "json"] = Field("console", description="Log lines for people or machines.")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="The least that is logged."
    )

    max_bytes_in_flight: int = Field(
        0,
        ge=0,
        description="Bytes of requests that the server holds at a time; 0: a sixteenth of the usable memory.",
    )
    max_receiving: int = Field(
        0,
        ge=0,
        le=65536,
        description="Calls whose request is still being received; 0: 32 to 1024, by the usable memory.",
    )
    receive_seconds: float = Field(
        30.0, gt=0, le=3600, description="Seconds that a request may take to arrive from its first byte on."
    )
    stream_idle_seconds: float = Field(
        60.0, gt=0, le=86400, description="Seconds after which a stream ends that waits for its caller."
    )
    max_calls_per_connection: int = Field(
        128, ge=1, le=65536, description="Calls at a time on one connection; further ones wait at the client."
    )
    max_connections: int = Field(1024, ge=1, le=1_000_000, description="Connections at a time.")
    max_receiving_per_caller: int = Field(
        0, ge=0, le=65536, description="The same for one address; 0: three quarters of all."
    )
    max_streams_per_caller: int = Field(
        0, ge=0, le=1024, description="Streaming calls of one address; 0: as many as there are."
    )
    connection_age_seconds: float = Field(
        3600.0,
        ge=60,
        le=30 * 86400,
        description="Seconds after which a connection takes no further calls, and its client opens another.",
    )
    compressed_requests: bool = Field(
        False, description="Accept compressed requests, which can take much more memory than their bytes."
    )

    @property
    def effective_workers(self) -> int:
        """Inferences at once for each model."""
        return self.workers or usable_cpus()

    @property
    def effective_max_in_flight(self) -> int:
        """Requests inside at a time."""
        return self.max_in_flight or max(64, 8 * usable_cpus())

    @property
    def max_message_bytes(self) -> int:
        """The longest message that gRPC reads; one that is longer than the limit of an image is refused."""
        return self.max_image_bytes + max(self.max_image_bytes // 4, _MESSAGE_BYTES_BESIDE_IMAGE)

    @property
    def effective_max_bytes_in_flight(self) -> int:
        """Bytes of requests that the server holds at a time."""
        return self.max_bytes_in_flight or usable_memory() // 16

    @property
    def effective_max_receiving(self) -> int:
        """Calls whose request is still being received: half of the memory if each sends the most it may."""
        return self.max_receiving or min(max(32, usable_memory() // 2 // self.max_message_bytes), 1024)

    @property
    def effective_max_receiving_per_caller(self) -> int:
        """The same for one address."""
        return self.max_receiving_per_caller or math.ceil(0.75 * self.effective_max_receiving)


def load_settings(arguments: Sequence[str], program: str = "spyglass serve") -> ServerSettings:
    """Settings from flags, environment and file. Prints and exits, as argparse does, where one is wrong.

    Raises pydantic.ValidationError for a value out of range, and InvalidInput where the file or a value
    cannot be read at all.
    """

    class FromEverywhere(ServerSettings):
        model_config = SettingsConfigDict(title="Serve models over gRPC.")

        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,
            file_secret_settings: PydanticBaseSettingsSource,
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            flags: CliSettingsSource[object] = CliSettingsSource(
                settings_cls,
                cli_prog_name=program,
                cli_parse_args=list(arguments),
                cli_kebab_case=True,
                cli_hide_none_type=True,
                cli_avoid_json=True,
            )
            file = flags().get("config") or EnvSettingsSource(settings_cls)().get("config")
            if file and not Path(file).is_file():
                raise InvalidInput(f"no settings file at {file}", field="config")
            return flags, env_settings, YamlConfigSettingsSource(settings_cls, yaml_file=file)

    try:
        return FromEverywhere()
    except (ValidationError, SpyglassError):
        raise
    # What the readers of YAML, and of lists in the environment, stumble over has no common base.
    except Exception as error:
        raise InvalidInput(f"the settings cannot be read: {' '.join(str(error).split())}") from error
