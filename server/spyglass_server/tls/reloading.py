"""Credentials of the server that follow their files: new connections use what the files hold now."""

from __future__ import annotations

import hashlib
import logging
import math
import time
from datetime import UTC, datetime
from threading import Lock

import grpc

from spyglass_server.tls.files import TlsFiles
from spyglass_server.tls.pem import ServerPair, TlsError, read_pair
from spyglass_server.watched_files import WatchedFiles

_log = logging.getLogger(__name__)

# A certificate that ends within this time gets a warning each day.
_SOON_SECONDS = 14 * 86400
_DAY_SECONDS = 86400


class ReloadingCredentials:
    """Looks at the files before each handshake. While they cannot be used, the last pair stays in use."""

    def __init__(self, files: TlsFiles) -> None:
        """Read the files. Raises TlsError."""
        self._files = files
        self._lock = Lock()
        self._watched = WatchedFiles(filter(None, (files.certificate, files.key, files.client_ca)))
        self._watched.look()
        self._pair = read_pair(files)
        self._digest = self._given = _digest(self._pair)
        self._complaint = ""
        self._warned = -math.inf

    @property
    def seconds_left(self) -> float:
        """The seconds until the certificate in use ends; negative after its end."""
        return (self._pair.expires - datetime.now(UTC)).total_seconds()

    def for_grpc(self) -> grpc.ServerCredentials:
        """Return the credentials of a port; with a file of client authorities, clients need a certificate."""
        return grpc.dynamic_ssl_server_credentials(
            _configuration(self._pair),
            # typeshed leaves out that None means "no change".
            self.changed,  # type: ignore[arg-type]
            require_client_authentication=self._files.client_ca is not None,
        )

    def changed(self) -> grpc.ServerCertificateConfiguration | None:
        """Return what the files hold if it is not what this returned last, else None."""
        with self._lock:
            self._refresh()
            if self._given == self._digest:
                return None
            self._given = self._digest
            return _configuration(self._pair)

    def tick(self) -> None:
        """Look at the files, too, and warn of a certificate that ends soon; to be called now and then.

        Without it, nothing would be known of changes while no client connects.
        """
        with self._lock:
            self._refresh()
            left, now = self.seconds_left, time.monotonic()
            if left >= _SOON_SECONDS or now - self._warned < _DAY_SECONDS:
                return
            self._warned = now
        path = self._files.certificate
        if left < 0:
            _log.error("the certificate of the server has expired, and clients refuse it: renew %s", path)
        else:
            _log.warning("the certificate of the server expires in %.1f days: renew %s", left / 86400, path)

    def _refresh(self) -> None:
        """Read the files if they may have changed; log once what is wrong with them."""
        if not self._watched.look():
            return
        try:
            pair = read_pair(self._files)
        except TlsError as error:
            self._watched.look_again()
            if error.message != self._complaint:
                self._complaint = error.message
                _log.error("the certificate stays as it is: %s", error.message)
            return
        self._complaint = ""
        if (digest := _digest(pair)) == self._digest:
            return
        self._pair, self._digest = pair, digest
        self._warned = -math.inf
        _log.info(
            "the certificate was read again; it is valid until %s", f"{pair.expires:%Y-%m-%d %H:%M} UTC"
        )


def _configuration(pair: ServerPair) -> grpc.ServerCertificateConfiguration:
    return grpc.ssl_server_certificate_configuration(
        [(pair.key, pair.chain)], root_certificates=pair.client_ca
    )


def _digest(pair: ServerPair) -> bytes:
    parts = (pair.chain, pair.key, pair.client_ca or b"")
    return b"".join(hashlib.sha256(part).digest() for part in parts)
