"""What the server logs, counts, traces and stores."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field
from pydantic_settings import BaseSettings

from spyglass_server.setting_values import EXPECTED, AnyCase, Host
from spyglass_server.tls.exposure import LOOPBACK


class ObservingSettings(BaseSettings):
    """What the server logs, counts, traces and stores."""

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
