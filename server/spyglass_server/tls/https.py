"""TLS of the HTTP port, which follows the same files as that of gRPC."""

from __future__ import annotations

import logging
import os
import ssl
import tempfile
from typing import Any
from weakref import WeakSet

from spyglass_server.tls.files import TlsFiles
from spyglass_server.tls.pem import ServerPair, TlsError, read_pair
from spyglass_server.watched_files import WatchedFiles

_log = logging.getLogger(__name__)

# Connections beyond those that the port takes, whose handshake has not ended.
_HANDSHAKES = 64


class FollowingContext(ssl.SSLContext):
    """A context whose new connections get the newest of other contexts.

    A context that loads further files would keep the authorities of earlier ones, and the sessions of clients
    that these have signed.
    """

    newest: ssl.SSLContext
    most_connections: int
    _open: WeakSet[ssl.SSLObject]

    def wrap_bio(self, *args: Any, **options: Any) -> Any:
        """Return the TLS of a new connection, whose handshake fails if there are too many."""
        if len(self._open) >= self.most_connections + _HANDSHAKES:
            return _Refused()
        opened = self.newest.wrap_bio(*args, **options)
        self._open.add(opened)
        return opened


class _Refused:
    """The TLS of a connection too many. The loop closes only those whose handshake fails."""

    def do_handshake(self) -> None:
        raise ssl.SSLError("too many connections")


class HttpsContext:
    """A context whose new connections use what the files held when they were last usable."""

    def __init__(self, files: TlsFiles, *, most_connections: int) -> None:
        """Read the files. Raises TlsError."""
        self._files = files
        self._watched = WatchedFiles(filter(None, (files.certificate, files.key, files.client_ca)))
        self._watched.look()
        self.context = FollowingContext(ssl.PROTOCOL_TLS_SERVER)
        """The context of the port."""
        self.context.most_connections = most_connections
        self.context._open = WeakSet()
        self.context.newest = self._made(read_pair(files))

    def tick(self) -> None:
        """Read the files if they have changed. What cannot be used changes nothing: gRPC's side logs why."""
        if not self._watched.look():
            return
        try:
            self.context.newest = self._made(read_pair(self._files))
        except (TlsError, ssl.SSLError):
            self._watched.look_again()
            _log.debug("the certificate of HTTP stays as it is", exc_info=True)

    def _made(self, pair: ServerPair) -> ssl.SSLContext:
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        made.minimum_version = ssl.TLSVersion.TLSv1_2
        # The library reads certificates from files only. These hold what was checked.
        with tempfile.TemporaryDirectory() as folder:
            chain, key = os.path.join(folder, "chain"), os.path.join(folder, "key")
            for path, data in ((chain, pair.chain), (key, pair.key)):
                with open(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as file:
                    file.write(data)
            try:
                made.load_cert_chain(chain, key)
            except ssl.SSLError as error:
                raise TlsError(f"{self._files.certificate} cannot be used: {error.reason}") from error
        if pair.client_ca:
            made.verify_mode = ssl.CERT_REQUIRED
            made.load_verify_locations(cadata=pair.client_ca.decode("ascii", "ignore"))
        return made
