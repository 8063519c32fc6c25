"""The tokens of a file in memory. They follow the file: a change is seen within two seconds."""

from __future__ import annotations

import logging
import stat
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from spyglass_server.access.entries import Entry, Identity, TokenFileError, read_entries
from spyglass_server.access.tokens import id_of, is_token_of
from spyglass_server.watched_files import WatchedFiles

_log = logging.getLogger(__name__)

_LOOK_SECONDS = 1.0


@dataclass(frozen=True)
class _Known:
    """The entries of one state of the file."""

    by_id: dict[str, Entry] = field(default_factory=dict)
    by_certificate: dict[str, Entry] = field(default_factory=dict)


class TokenStore:
    """Finds who calls. While the file is missing or invalid, its last entries stay in use."""

    def __init__(self, path: Path) -> None:
        """Read the file. Raises TokenFileError."""
        self._path = path
        self._watched = WatchedFiles([path])
        self._watched.look()
        self._known = _known(read_entries(path))
        self._looked = time.monotonic()
        self._complaint = ""
        _warn_if_readable(path)

    @property
    def has_certificates(self) -> bool:
        """Whether callers may show a client certificate in place of a token."""
        return bool(self._known.by_certificate)

    def of_token(self, token: str) -> Identity | None:
        """Return the owner of a token; None: the token is unknown, revoked or expired."""
        entry = self._known.by_id.get(id_of(token))
        if entry is None or entry.sha256 is None or not is_token_of(token, entry.sha256):
            return None
        return _if_valid(entry.identity)

    def of_certificate(self, names: Iterable[str]) -> Identity | None:
        """Return the owner of a certificate with these names; None: none of them is known and valid."""
        for name in names:
            entry = self._known.by_certificate.get(name)
            if entry and (identity := _if_valid(entry.identity)):
                return identity
        return None

    def is_current(self, identity: Identity) -> bool:
        """Return whether an identity is still in the file as it was, and has not expired."""
        entry = self._known.by_id.get(identity.id)
        return entry is not None and entry.identity == identity and _if_valid(identity) is not None

    def refresh(self) -> bool:
        """Read the file if it has changed, at most once a second; return whether the entries are new."""
        now = time.monotonic()
        if now - self._looked < _LOOK_SECONDS:
            return False
        self._looked = now
        if not self._watched.look():
            return False
        try:
            known = _known(read_entries(self._path))
        except TokenFileError as error:
            self._watched.look_again()
            if error.message != self._complaint:
                self._complaint = error.message
                _log.error("the tokens stay as they are: %s", error.message)
            return False
        self._complaint = ""
        if known == self._known:
            return False
        self._known = known
        _log.info("the tokens were read again: %d entries", len(known.by_id))
        _warn_if_readable(self._path)
        return True


def _if_valid(identity: Identity) -> Identity | None:
    return identity if time.time() < identity.ends else None


def _known(entries: Iterable[Entry]) -> _Known:
    known = _Known()
    for entry in entries:
        known.by_id[entry.id] = entry
        if entry.certificate and not entry.revoked:
            known.by_certificate[entry.certificate] = entry
    return known


def _warn_if_readable(path: Path) -> None:
    try:
        mode = path.stat().st_mode
    except OSError:
        return
    if mode & stat.S_IROTH:
        _log.warning("every user of this machine can read %s; expected mode 600, not %o", path, mode & 0o777)
