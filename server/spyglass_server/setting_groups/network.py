"""Where the server listens, and how it encrypts."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings

from spyglass_server.engine.capacity.processors import usable_cpus
from spyglass_server.setting_values import EXPECTED, Host
from spyglass_server.tls.files import TlsFiles


class NetworkSettings(BaseSettings):
    """Where the server listens, and how it encrypts."""

    host: Host | None = Field(
        None,
        description="Host to listen on: a name, an IP address, or unix:PATH for a Unix socket; by default "
        "localhost, and with TLS or tokens [::], which is every address of the machine.",
        json_schema_extra={EXPECTED: "a host without a port, such as localhost, 0.0.0.0, :: or unix:/PATH"},
    )
    port: int = Field(50051, ge=0, le=65535, description="Port to listen on; 0 takes any free port.")
    http_port: int | None = Field(
        None,
        ge=0,
        le=65535,
        description="Port for HTTP: POST /v1/classify, /v1/segment and /v1/heatmap, and the Open Inference "
        "Protocol; 0 takes any free port. By default there is none.",
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
    max_connections: int = Field(
        1024, ge=1, le=1_000_000, description="Connections at a time to each address of the server."
    )
    max_calls_per_connection: int = Field(
        0,
        ge=0,
        le=65536,
        description="Calls at a time on one connection, further ones wait in the client; 0 is 16 for each "
        "processor, at least 64.",
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
    grace_seconds: float = Field(
        20.0, ge=0, le=3600, description="Time that running requests get to finish after SIGTERM, in seconds."
    )

    @property
    def effective_max_calls_per_connection(self) -> int:
        """Calls at a time on one connection."""
        return self.max_calls_per_connection or max(64, 16 * usable_cpus())

    @property
    def tls_files(self) -> TlsFiles | None:
        """The files of TLS; None: the server does not encrypt."""
        if self.tls_certificate is None or self.tls_key is None:
            return None
        return TlsFiles(self.tls_certificate, self.tls_key, self.tls_client_ca)
