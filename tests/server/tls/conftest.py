"""Certificates of an authority that the tests make, and servers that show them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
import trustme

from spyglass_server.tls.files import TlsFiles


@dataclass
class Authority:
    """An authority, and a folder for what it issues."""

    ca: trustme.CA
    folder: Path

    @property
    def pem(self) -> Path:
        """The file with the certificate of the authority."""
        path = self.folder / "ca.pem"
        self.ca.cert_pem.write_to_path(str(path))
        return path

    def issue(self, name: str, *identities: str, common_name: str | None = None) -> tuple[Path, Path]:
        """Write a certificate and its key; return both files."""
        issued = self.ca.issue_cert(*(identities or ("localhost",)), common_name=common_name)
        certificate, key = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        issued.private_key_pem.write_to_path(str(key))
        certificate.write_bytes(b"".join(part.bytes() for part in issued.cert_chain_pems))
        return certificate, key


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(trustme.CA(), tmp_path_factory.mktemp("authority"))


@pytest.fixture
def files(authority: Authority, tmp_path: Path) -> TlsFiles:
    """The files of a server, in a folder of their own."""
    certificate, key = authority.issue("server")
    mine = TlsFiles(tmp_path / "tls.crt", tmp_path / "tls.key")
    mine.certificate.write_bytes(certificate.read_bytes())
    mine.key.write_bytes(key.read_bytes())
    return mine
