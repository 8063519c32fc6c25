"""Credentials of the server that follow their files: new connections use what the files hold now."""

from __future__ import annotations

import hashlib
import logging
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock

import grpc

from spyglass_server.tls.files import TlsFiles
from spyglass_server.tls.pem import ServerPair, TlsError, read_pair

_log = logging.getLogger(__name__)

# A certificate that ends within this time gets a warning when it is read.
_SOON_SECONDS = 14 * 86400

_Stamp = tuple[tuple[int, int, int], ...]
"""Inode, time of change and size of each file: they change if a file is written, replaced or linked anew."""


class ReloadingCredentials:
    """Looks at the files before each handshake. While they cannot be used, the last pair stays in use."""

    def __init__(self, files: TlsFiles) -> None:
        """Read the files. Raises TlsError."""
        self._files = files
        self._lock = Lock()
        self._stamp = _stamp(files)
        self._pair = read_pair(files)
        self._digest = _digest(self._pair)
        _warn_if_soon(self._pair)

    @property
    def seconds_left(self) -> float:
        """The seconds until the certificate in use ends; negative after its end."""
        return (self._pair.expires - datetime.now(UTC)).total_seconds()

    def for_grpc(self) -> grpc.ServerCredentials:
        """Return the credentials of a port; with a file of client authorities, clients need a certificate."""
        return grpc.dynamic_ssl_server_credentials(
            _configuration(self._pair),
            # typeshed leaves out that None means "no change".
            self.refresh,  # type: ignore[arg-type]
            require_client_authentication=self._files.client_ca is not None,
        )

    def refresh(self) -> grpc.ServerCertificateConfiguration | None:
        """Return what the files hold if it has changed, else None; log once what is wrong with them."""
        with self._lock:
            try:
                stamp = _stamp(self._files)
                if stamp == self._stamp:
                    return None
                # Even if the files are invalid: they are read again when they have changed again.
                self._stamp = stamp
                pair = read_pair(self._files)
            except TlsError as error:
                _log.error("the certificate stays as it is: %s", error.message)
                return None
            if (digest := _digest(pair)) == self._digest:
                return None
            self._pair, self._digest = pair, digest
        _log.info(
            "the certificate was read again; it is valid until %s", f"{pair.expires:%Y-%m-%d %H:%M} UTC"
        )
        _warn_if_soon(pair)
        return _configuration(pair)


def _configuration(pair: ServerPair) -> grpc.ServerCertificateConfiguration:
    return grpc.ssl_server_certificate_configuration(
        [(pair.key, pair.chain)], root_certificates=pair.client_ca
    )


def _stamp(files: TlsFiles) -> _Stamp:
    paths = filter(None, (files.certificate, files.key, files.client_ca))
    return tuple(_identity(path) for path in paths)


def _identity(path: Path) -> tuple[int, int, int]:
    try:
        status = path.stat()
    except OSError:
        return (0, 0, 0)
    return status.st_ino, status.st_mtime_ns, status.st_size


def _digest(pair: ServerPair) -> bytes:
    parts = (pair.chain, pair.key, pair.client_ca or b"")
    return b"".join(hashlib.sha256(part).digest() for part in parts)


def _warn_if_soon(pair: ServerPair) -> None:
    left = (pair.expires - datetime.now(UTC)).total_seconds()
    if left < _SOON_SECONDS:
        _log.warning("the certificate of the server expires in %.1f days", left / 86400)
