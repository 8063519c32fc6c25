"""Every setting of the server: the same name as a flag, as SPYGLASS_… in the environment, and in YAML."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from spyglass_contract.errors import InvalidInput
from spyglass_contract.model_files.limits import MOST_BYTES, MOST_NODES, FileLimits
from spyglass_contract.model_files.rules import FileRules
from spyglass_contract.model_files.signature import TrustedKeys
from spyglass_server.engine.capacity.memory import usable_memory
from spyglass_server.engine.capacity.processors import usable_cpus
from spyglass_server.engine.models.bundled import bundled_models
from spyglass_server.engine.models.choices import (
    DEFAULT_MODELS,
    DEVICE_PATTERN,
    DEVICES,
    Precision,
    ProviderName,
    Versions,
)
from spyglass_server.setting_flags import flag, read_flags
from spyglass_server.setting_rules import check_together
from spyglass_server.setting_sources import PREFIX, read_environment, read_file, without_empty
from spyglass_server.setting_values import (
    EXPECTED,
    AnyCase,
    Folders,
    Host,
    Names,
    expected,
)
from spyglass_server.tls.exposure import EVERY_ADDRESS, LOOPBACK
from spyglass_server.tls.files import TlsFiles

_MESSAGE_BYTES_BESIDE_IMAGE = 1024 * 1024


class ServerSettings(BaseSettings):
    """Values that were read elsewhere: `load_settings` reads flags, the environment and a file."""

    model_config = SettingsConfigDict(extra="forbid", frozen=True, validate_default=False)

    config: Path | None = Field(None, description="YAML file with any of these settings.")
    models: Folders = Field(
        default_factory=lambda: [bundled_models()],
        description="Folder with the models, as NAME/VERSION/model.onnx; the bundled models by default.",
        json_schema_extra={EXPECTED: "one or more folders"},
    )
    versions: Annotated[Versions, AnyCase] = Field(
        "latest", description="Versions of each model to load: the highest one, or all."
    )
    default_model: Names = Field(
        list(DEFAULT_MODELS),
        description="Default model: a request that names no model gets the first one of its task.",
        json_schema_extra={EXPECTED: "names of models, separated by commas"},
    )
    host: Host | None = Field(
        None,
        description="Host to listen on: a name, an IP address, or unix:PATH for a Unix socket; by default "
        "localhost, and with TLS or tokens [::], which is every address of the machine.",
        json_schema_extra={EXPECTED: "a host without a port, such as localhost, 0.0.0.0, :: or unix:/PATH"},
    )
    port: int = Field(50051, ge=0, le=65535, description="Port to listen on; 0 takes any free port.")
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
    require_signature: Names = Field(
        [],
        description="Public key of minisign, as a file or as its text: the server loads only model files "
        "that one of these keys has signed.",
        json_schema_extra={EXPECTED: "files of public keys or their texts, separated by commas"},
    )

    tls_certificate: Path | None = Field(
        None,
        description="PEM file with the server's certificate, followed by those that signed it; turns TLS on.",
    )
    tls_key: Path | None = Field(None, description="PEM file with the key of the certificate.")
    tls_client_ca: Path | None = Field(
        None,
        description="PEM file with the authorities whose client certificates the server accepts; then each "
        "client needs one.",
    )
    metrics_port: int | None = Field(
        None,
        ge=0,
        le=65535,
        description="HTTP port of /metrics (for Prometheus), /healthz and /readyz; by default there is none.",
    )
    metrics_host: Host = Field(
        LOOPBACK,
        description="Host of the metrics port.",
        json_schema_extra={EXPECTED: "a host without a port, such as localhost, 0.0.0.0 or ::"},
    )
    statistics: bool = Field(
        False,
        description="Keep statistics of what each model sees, but no image: scores, classes, brightness and "
        "more.",
    )
    statistics_window: int = Field(
        10_000,
        ge=100,
        le=100_000_000,
        description="Images that the statistics of a model are of: the last ones, up to twice as many.",
    )
    capture_folder: Path | None = Field(
        None, description="Folder in which the server stores requests with their images; by default none."
    )
    capture_sample: float = Field(
        0.01, gt=0, le=1, description="Part of the answered requests that is stored, for --capture-folder."
    )
    capture_max_bytes: int = Field(
        1024**3, ge=0, description="Bytes in the capture folder after which no more requests are stored."
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
    workers: int = Field(
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
    max_in_flight: int = Field(
        0,
        ge=0,
        le=65536,
        description="Largest number of requests at the same time; 0 is 64 for each processor, at least 1024.",
    )
    max_queue_seconds: float = Field(
        10.0,
        gt=0,
        le=3600,
        description="Seconds of work that a request waits for; one that would wait longer is refused.",
    )
    max_streams: int = Field(
        16, ge=1, le=1024, description="Largest number of open streaming calls at the same time."
    )
    max_image_bytes: int = Field(
        32 * 1024 * 1024, ge=1, le=512 * 1024 * 1024, description="Largest file of an image, in bytes."
    )
    # Pillow itself refuses more than 178 megapixels.
    max_image_pixels: int = Field(
        64 * 1024 * 1024, ge=1, le=128 * 1024 * 1024, description="Largest image, in pixels."
    )
    grace_seconds: float = Field(
        20.0, ge=0, le=3600, description="Time that running requests get to finish after SIGTERM, in seconds."
    )
    log_format: Annotated[Literal["console", "json"], AnyCase] = Field(
        "console", description="Format of log lines: console for people, json for machines."
    )
    log_level: Annotated[Literal["debug", "info", "warning", "error"], AnyCase] = Field(
        "info", description="Lowest level of the log lines that the server writes."
    )
    access_log: bool = Field(True, description="Log a line for each request.")
    log_sample: float = Field(
        1.0,
        ge=0,
        le=1,
        description="Fraction of the successful requests that get a line in the log; failed ones always do.",
    )
    slow_request_seconds: float = Field(
        0.0,
        ge=0,
        le=3600,
        description="Requests that take longer get a warning in the log, with all their stages; 0: off.",
    )
    tracing_endpoint: str = Field(
        "",
        pattern=r"^(https?://[^\s/?#@]+/?)?$",
        description="URL of the OTLP collector that gets traces over gRPC; without it there are none.",
        json_schema_extra={EXPECTED: "a URL such as http://HOST:4317, or https://HOST:4317 for TLS"},
    )
    tracing_sample: float = Field(
        0.01,
        ge=0,
        le=1,
        description="Part of the requests to trace, 0 to 1, of those without a trace of their caller; of "
        "others, the caller decides.",
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
        0,
        ge=0,
        le=65536,
        description="Calls at a time on one connection, further ones wait in the client; 0 is 16 for each "
        "processor, at least 64.",
    )
    max_connections: int = Field(
        1024, ge=1, le=1_000_000, description="Connections at a time to each address of the server."
    )
    max_receiving_per_caller: int = Field(
        0, ge=0, le=65536, description="The same for one address; 0: three quarters of all."
    )
    max_streams_per_caller: int = Field(
        0,
        ge=0,
        le=1024,
        description="Streaming calls of one caller: the name of its token, else its address; 0: as many as "
        "there are.",
    )
    tokens: Path | None = Field(
        None,
        description="File of the tokens and client certificates that may call, made by `spyglass token new`; "
        "without it, everyone may.",
    )
    caller_requests_per_second: float = Field(
        0.0,
        ge=0,
        le=1e6,
        description="Requests a second of one caller, with a burst of 2 seconds; a stream waits, other calls "
        "are refused; 0: no limit.",
    )
    caller_megapixels_per_second: float = Field(
        0.0, ge=0, le=1e6, description="Megapixels of images a second of one caller, in the same way."
    )
    caller_concurrent_calls: int = Field(
        0, ge=0, le=65536, description="Calls with one request at a time of one caller; 0: no limit."
    )
    connection_age_seconds: float = Field(
        3600.0,
        ge=1,
        le=30 * 86400,
        description="Seconds after which a connection takes no further calls, and its client opens another.",
    )
    compressed_requests: bool = Field(
        False, description="Accept compressed requests, which can take much more memory than their bytes."
    )

    @property
    def effective_workers(self) -> int:
        """Requests that run at a time."""
        return self.workers or usable_cpus()

    @property
    def effective_max_in_flight(self) -> int:
        """Requests inside at a time."""
        return self.max_in_flight or max(1024, 64 * usable_cpus())

    @property
    def effective_max_calls_per_connection(self) -> int:
        """Calls at a time on one connection."""
        return self.max_calls_per_connection or max(64, 16 * usable_cpus())

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

    @property
    def is_protected(self) -> bool:
        """Whether the server encrypts what it sends, or knows who calls."""
        return self.tls_certificate is not None or self.tokens is not None

    @property
    def effective_host(self) -> str:
        """The host to listen on."""
        return self.host or (EVERY_ADDRESS if self.is_protected else LOOPBACK)

    @property
    def file_rules(self) -> FileRules:
        """The rules by which model files are opened. Raises InvalidInput for an invalid public key."""
        limits = FileLimits(
            self.max_model_bytes or min(MOST_BYTES, usable_memory() // 2), self.max_model_nodes
        )
        return FileRules(limits, TrustedKeys(self.require_signature) if self.require_signature else None)

    @property
    def tls_files(self) -> TlsFiles | None:
        """The files of TLS; None: the server does not encrypt."""
        if self.tls_certificate is None or self.tls_key is None:
            return None
        return TlsFiles(self.tls_certificate, self.tls_key, self.tls_client_ca)

    @property
    def listen_address(self) -> str:
        """The address that gRPC listens on: HOST:PORT, [IPV6]:PORT, or unix:PATH."""
        host = self.effective_host
        return host if host.startswith("unix") else f"{host}:{self.port}"

    @property
    def local_target(self) -> str:
        """The address by which a client on the same machine reaches the server.

        Raises InvalidInput for port 0, which stands for any free port.
        """
        host = self.effective_host
        if host.startswith("unix"):
            return host
        if not self.port:
            raise InvalidInput("port 0 is any free port, whose number only the server knows", field="port")
        host = {"0.0.0.0": "127.0.0.1", "[::]": "localhost"}.get(host, host)
        return f"{host}:{self.port}"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take the given values only; `load_settings` reads the others, each with its name for messages."""
        return (init_settings,)


@dataclass(frozen=True)
class LoadedSettings:
    """Settings, and warnings about variables of the environment that were ignored."""

    settings: ServerSettings
    warnings: tuple[str, ...] = ()


def load_settings(arguments: Sequence[str], program: str = "spyglass serve") -> ServerSettings:
    """Return the settings of `read_settings` without the warnings."""
    return read_settings(arguments, program).settings


def read_settings(arguments: Sequence[str], program: str = "spyglass serve") -> LoadedSettings:
    """Read flags, the environment and the file that they name; the first of these that has a setting wins.

    An empty value means that the setting is not set. Prints the usage and exits with 2, as argparse does, for
    an unknown flag. Raises InvalidInput if the file cannot be read, or if a value is not allowed: the message
    names the flag, the variable or the file, and what the value should be.
    """
    flags = without_empty(read_flags(ServerSettings, arguments, program))
    environment, warnings = read_environment(ServerSettings)
    path = flags.get("config") or environment.get("config")
    file = read_file(ServerSettings, path) if path else {}
    names = {
        **{name: f"{name} in {path}" for name in file},
        **{name: f"{PREFIX}{name.upper()}" for name in environment},
        **{name: flag(name) for name in flags},
    }
    values = {**file, **environment, **flags}
    try:
        settings = ServerSettings(**values)
        check_together(settings)
        return LoadedSettings(settings, tuple(warnings))
    except ValidationError as error:
        # One message for each setting, in the order of the settings.
        invalid = dict.fromkeys(str(problem["loc"][0]) for problem in error.errors())
        raise InvalidInput(
            "; ".join(_problem(name, names, values) for name in invalid), field=next(iter(invalid))
        ) from error


def _problem(name: str, names: Mapping[str, str], values: Mapping[str, Any]) -> str:
    value = values[name]
    shown = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return f"{names[name]} must be {expected(ServerSettings.model_fields[name])}, not {shown[:100]!r}"
