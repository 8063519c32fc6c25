"""The files of the server's TLS."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class TlsFiles:
    """PEM files: the chain of certificates, its key, and the authorities of clients.

    Without `client_ca` clients show no certificate.
    """

    certificate: Path
    key: Path
    client_ca: Path | None = None
