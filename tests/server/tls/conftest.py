"""The files of a server with TLS."""

from __future__ import annotations

from pathlib import Path

import pytest

from authorities import Authority
from spyglass_server.tls.files import TlsFiles


@pytest.fixture
def files(authority: Authority, tmp_path: Path) -> TlsFiles:
    """The files of a server, in a folder of their own."""
    certificate, key = authority.issue("server")
    mine = TlsFiles(tmp_path / "tls.crt", tmp_path / "tls.key")
    mine.certificate.write_bytes(certificate.read_bytes())
    mine.key.write_bytes(key.read_bytes())
    return mine
