"""A warning if others than this machine can reach a server that does not protect itself."""

from __future__ import annotations

import logging

from spyglass_server.settings import ServerSettings
from spyglass_server.tls.exposure import is_loopback

_log = logging.getLogger(__name__)


def warn_if_exposed(settings: ServerSettings) -> None:
    """Warn of an address that others can reach, without tokens or without encryption."""
    if is_loopback(settings.effective_host):
        return
    if settings.admin and settings.tokens is None and settings.tls_client_ca is None:
        _log.warning(
            "everyone who reaches %s may change the models: set --tokens, or do not set --admin",
            settings.listen_address,
        )
    if not settings.is_protected:
        _log.warning(
            "everyone who reaches %s may use every model: set --tokens or --tls-certificate, "
            "or --host localhost",
            settings.listen_address,
        )
    elif settings.tls_certificate is None:
        _log.warning(
            "callers send tokens to %s without encryption: set --tls-certificate, or let a proxy encrypt",
            settings.listen_address,
        )
