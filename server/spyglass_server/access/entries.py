"""The entries of a token file: one JSON object a line, one line for each token or client certificate."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, model_validator

from spyglass_contract.errors import SpyglassError
from spyglass_server.access.scopes import Scopes

# Names appear in logs and metrics. Without a colon, none can be the address of another caller.
NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._@/-]{0,63}$"

_MAX_BYTES = 64 * 1024 * 1024


class TokenFileError(SpyglassError):
    """A file of tokens cannot be read, or is invalid."""

    default_reason = "TOKEN_FILE_INVALID"


class CallerLimits(BaseModel):
    """The limits of one caller. 0: no limit. None: the limit of the server's settings."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    requests_per_second: float | None = Field(None, ge=0, allow_inf_nan=False)
    megapixels_per_second: float | None = Field(None, ge=0, allow_inf_nan=False)
    concurrent_calls: int | None = Field(None, ge=0)
    streams: int | None = Field(None, ge=0)


NO_OWN_LIMITS = CallerLimits()


class Entry(BaseModel):
    """A token, of which only a hash is kept, or a client certificate, with what its owner may do.

    A plain SHA-256 is enough: the secret has 256 random bits, so nobody can guess it from the hash. Slow
    hashes such as Argon2 protect passwords, which people choose, and would cost each request milliseconds.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{1,64}$")]
    name: Annotated[str, Field(pattern=NAME_PATTERN)]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    # The common name or a DNS name or URI of the certificate's subject.
    certificate: Annotated[str, Field(min_length=1, max_length=1024)] | None = None
    scopes: tuple[str, ...]
    created: AwareDatetime
    expires: AwareDatetime | None = None
    revoked: AwareDatetime | None = None
    limits: CallerLimits = NO_OWN_LIMITS

    @model_validator(mode="after")
    def _check(self) -> Entry:
        if (self.sha256 is None) == (self.certificate is None):
            raise ValueError("expected either sha256 or certificate")
        Scopes.parse(self.scopes)
        return self

    @cached_property
    def identity(self) -> Identity:
        """Who calls with this entry."""
        ends = self.expires.timestamp() if self.expires else math.inf
        if self.revoked:
            ends = min(ends, self.revoked.timestamp())
        return Identity(self.id, self.name, Scopes.parse(self.scopes), ends, self.limits)


@dataclass(frozen=True)
class Identity:
    """Who calls: the owner of a token or of a client certificate."""

    id: str
    name: str
    scopes: Scopes
    # The time of `time.time()` from which on it is not accepted any more.
    ends: float = math.inf
    limits: CallerLimits = NO_OWN_LIMITS


def most_streams(identity: Identity | None) -> int | None:
    """Return the most streams of a caller at a time; None: the limit of the server's settings."""
    own = identity.limits.streams if identity else None
    return sys.maxsize if own == 0 else own


def read_entries(path: Path) -> tuple[Entry, ...]:
    """Return the entries of a file. Raises TokenFileError, whose message quotes nothing of the file."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise TokenFileError(f"{path}: {error.strerror}; `spyglass token new` makes the file") from error
    if len(data) > _MAX_BYTES:
        raise TokenFileError(f"{path} must have at most {_MAX_BYTES:,} bytes, not {len(data):,}")
    entries: dict[str, Entry] = {}
    certificates: set[str] = set()
    for number, line in enumerate(data.splitlines(), 1):
        if not line.strip():
            continue
        entry = _entry(path, number, line)
        if entry.id in entries:
            raise TokenFileError(f"{path}, line {number}: another line has the id {entry.id}")
        if entry.certificate and not entry.revoked:
            if entry.certificate in certificates:
                raise TokenFileError(f"{path}, line {number}: another line has the same certificate")
            certificates.add(entry.certificate)
        entries[entry.id] = entry
    return tuple(entries.values())


def _entry(path: Path, number: int, line: bytes) -> Entry:
    try:
        return Entry.model_validate_json(line)
    except ValidationError as error:
        problem = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(map(str, problem["loc"]))
        raise TokenFileError(
            f"{path}, line {number}{f', {place}' if place else ''}: {problem['msg']}"
        ) from None
