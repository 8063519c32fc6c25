"""TLS of the HTTP port, which follows the same files as that of gRPC."""

from __future__ import annotations

import logging
import os
import ssl
import tempfile

from spyglass_server.tls.files import TlsFiles
from spyglass_server.tls.pem import ServerPair, TlsError, read_pair
from spyglass_server.watched_files import WatchedFiles

_log = logging.getLogger(__name__)


class HttpsContext:
    """A context whose new connections use what the files held when they were last usable."""

    def __init__(self, files: TlsFiles) -> None:
        """Read the files. Raises TlsError."""
        self._files = files
        self._watched = WatchedFiles(filter(None, (files.certificate, files.key, files.client_ca)))
        self._watched.look()
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        """The context of the port."""
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        self._use(read_pair(files))

    def tick(self) -> None:
        """Read the files if they have changed. What cannot be used changes nothing: gRPC's side logs why."""
        if not self._watched.look():
            return
        try:
            self._use(read_pair(self._files))
        except (TlsError, ssl.SSLError):
            self._watched.look_again()
            _log.debug("the certificate of HTTP stays as it is", exc_info=True)

    def _use(self, pair: ServerPair) -> None:
        # The library reads certificates from files only. These hold what was checked.
        with tempfile.TemporaryDirectory() as folder:
            chain, key = os.path.join(folder, "chain"), os.path.join(folder, "key")
            for path, data in ((chain, pair.chain), (key, pair.key)):
                with open(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as file:
                    file.write(data)
            try:
                self.context.load_cert_chain(chain, key)
            except ssl.SSLError as error:
                raise TlsError(f"{self._files.certificate} cannot be used: {error.reason}") from error
        if pair.client_ca:
            self.context.verify_mode = ssl.CERT_REQUIRED
            self.context.load_verify_locations(cadata=pair.client_ca.decode("ascii", "ignore"))
