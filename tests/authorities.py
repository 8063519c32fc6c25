"""Authorities that the tests make, and the certificates that they issue."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    import trustme


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

    def issue(
        self, name: str, *identities: str, common_name: str | None = None, days: tuple[int, int] = (0, 90)
    ) -> tuple[Path, Path]:
        """Write a certificate and its key, valid from and to these days from now on; return both files."""
        now = datetime.now(UTC)
        issued = self.ca.issue_cert(
            *(identities or ("localhost",)),
            common_name=common_name,
            not_before=now + timedelta(days=days[0]),
            not_after=now + timedelta(days=days[1]),
        )
        certificate, key = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        issued.private_key_pem.write_to_path(str(key))
        certificate.write_bytes(b"".join(part.bytes() for part in issued.cert_chain_pems))
        return certificate, key


@pytest.fixture(scope="session")
def make_authority(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Authority]:
    """Make an authority that nobody else knows."""
    # Only the tests of TLS need it, and it takes long to import.
    import trustme

    return lambda: Authority(trustme.CA(), tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="session")
def authority(make_authority: Callable[[], Authority]) -> Authority:
    return make_authority()


@pytest.fixture(scope="session")
def other_authority(make_authority: Callable[[], Authority]) -> Authority:
    return make_authority()
