"""The file of tokens: valid, not about to expire, and readable by its owner only."""

from __future__ import annotations

import time
from collections.abc import Iterator

from spyglass_cli.diagnosing.finding import Finding, Subject, fail, ok, warn
from spyglass_cli.diagnosing.tls import readable_by_others

_DAY = 86400
_SOON_DAYS = 14


def check_tokens(subject: Subject) -> Iterator[Finding]:
    """Check the file in the settings; without one there is nothing to check."""
    from spyglass_server.access.entries import TokenFileError, read_entries
    from spyglass_server.tls.exposure import is_loopback

    settings = subject.settings
    if settings.tokens is None:
        yield ok("no tokens: everyone who reaches the server may use every model")
        return
    try:
        entries = read_entries(settings.tokens)
    except TokenFileError as error:
        yield fail(error.message)
        return
    now = time.time()
    valid = [entry for entry in entries if entry.identity.ends > now]
    if valid:
        yield ok(f"{len(valid)} of {len(entries)} tokens and certificates are accepted")
    else:
        yield warn(
            f"{settings.tokens} has no valid token: the server refuses every call",
            "make one with `spyglass token new`",
        )
    for entry in valid:
        days = (entry.identity.ends - now) / _DAY
        if days < _SOON_DAYS:
            yield warn(f"the token {entry.id} of {entry.name} expires in {days:.0f} days", "make another one")
    if settings.tls_files is None and not is_loopback(settings.effective_host):
        yield warn(
            "tokens travel without encryption, and can be read on the way",
            "set --tls-certificate and --tls-key",
        )
    yield from readable_by_others(settings.tokens, "the file of tokens")
