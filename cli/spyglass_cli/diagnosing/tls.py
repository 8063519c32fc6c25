"""The files of TLS: valid, fitting, not about to expire, and the key readable by its owner only."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from spyglass_cli.diagnosing.finding import Finding, Subject, fail, ok, warn

_SOON_DAYS = 14


def check_tls(subject: Subject) -> Iterator[Finding]:
    """Check the files in the settings; without them, that only this machine reaches the server."""
    from spyglass_server.tls.exposure import is_loopback
    from spyglass_server.tls.pem import TlsError, read_pair

    settings = subject.settings
    if settings.tls_files is None:
        if settings.is_protected or is_loopback(settings.effective_host):
            yield ok(f"no TLS; the server listens on {settings.listen_address}")
        else:
            yield warn(
                f"no TLS: everyone who reaches {settings.listen_address} may use every model",
                "set --tls-certificate and --tls-key, or --host localhost",
            )
        return
    try:
        pair = read_pair(settings.tls_files)
    except TlsError as error:
        yield fail(error.message)
        return
    days = (pair.expires - datetime.now(UTC)).days
    if days < _SOON_DAYS:
        yield warn(f"the certificate of TLS expires in {days} days", "renew it; the server rereads the files")
    else:
        yield ok(f"the certificate of TLS is valid for {days} days, and the key fits")
    yield from readable_by_others(settings.tls_files.key, "the key of TLS")


def readable_by_others(path: Path, what: str) -> Iterator[Finding]:
    """Find a secret file that others than its owner and its group can read, or change."""
    mode = os.stat(path).st_mode
    # A mounted secret of Kubernetes is readable by a group, whose only member is the server.
    if mode & (stat.S_IRWXO | stat.S_IWGRP):
        yield warn(f"{what} in {path} has the mode {mode & 0o777:o}: others can use it", f"chmod 600 {path}")
