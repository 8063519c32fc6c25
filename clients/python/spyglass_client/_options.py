"""The options of a client: small immutable objects that clients may share."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from numbers import Real
from os import PathLike
from pathlib import Path

from spyglass_contract.errors import InvalidInput

# What every file in PEM has.
_PEM = b"-----BEGIN "
_CERTIFICATE_INVALID = "CERTIFICATE_INVALID"
# Longer times do not fit everywhere: gRPC's clocks overflow at 292 years.
_FOR_EVER = 10 * 365.25 * 24 * 3600


@dataclass(frozen=True)
class Timeout:
    """Limits on waiting, in seconds.

    `call` limits one call from its first to its last attempt, and each image of a stream from the moment it
    is taken; None or infinity: no limit. `connect` limits one attempt to reach the server. Raises ValueError
    unless both are numbers above 0.
    """

    call: float | None = 30.0
    connect: float = 5.0

    def __post_init__(self) -> None:
        if not _is_time(self.connect) or (self.call is not None and not _is_time(self.call)):
            raise ValueError(f"Timeout needs call > 0 and connect > 0, not {self}")

    def override(self, seconds: float | None) -> float | None:
        """Return `seconds` if it is not None, else `call`; None: no limit.

        Raises InvalidInput unless `seconds` is a number above 0.
        """
        if seconds is not None and not _is_time(seconds):
            raise InvalidInput(
                f"timeout must be a positive number of seconds, not {seconds!r}",
                reason="TIMEOUT_INVALID",
                field="timeout",
            )
        limit = self.call if seconds is None else seconds
        return None if limit is None or limit > _FOR_EVER else float(limit)


def _is_time(seconds: float) -> bool:
    """Return whether this is a number above 0, which infinity is and NaN is not."""
    return isinstance(seconds, Real) and not isinstance(seconds, bool) and bool(seconds > 0)


@dataclass(frozen=True)
class Retry:
    """When to retry: if the server cannot be reached or is starting, or if it is overloaded and says when.

    `attempts` counts the first one: 1 means no retry, None as many as fit before the deadline of the call.
    So a call waits for a server that starts within its timeout. The pause after the n-th attempt is
    `initial_backoff` · 2ⁿ⁻¹ seconds, at most `max_backoff`. The part `jitter` of it, in [0, 1], is random
    (1: "full jitter", https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/).
    No pause goes past the deadline of the call. Whatever `attempts` is, the client does not send a request
    again that has lost its connection five times: it may be what ends the server. Raises ValueError for
    values out of range.
    """

    attempts: int | None = None
    initial_backoff: float = 0.2
    max_backoff: float = 2.0
    jitter: float = 1.0

    def __post_init__(self) -> None:
        if (
            (self.attempts is not None and not self.attempts >= 1)
            or not 0 < self.initial_backoff <= self.max_backoff < math.inf
            or not 0 <= self.jitter <= 1
        ):
            raise ValueError(
                "Retry needs attempts >= 1 or None, 0 < initial_backoff <= max_backoff, 0 <= jitter <= 1, "
                f"not {self}"
            )


@dataclass(frozen=True)
class Credentials:
    """The caller's token and certificate, and the certificate authorities that the client trusts.

    The client sends `token` with every call as a bearer token: over TLS or inside this machine, and over
    other connections only with `insecure_token`, for example if a proxy of this machine encrypts them.

    `ca` holds certificate authorities in PEM, None: those that gRPC includes. `certificate` (with those that
    signed it) and its `key` are in PEM, for a server that requires a certificate. `server_name` is the name
    that the server's certificate must contain, empty: the host in the address. Each of these turns TLS on;
    without them and `tls` the connection is not encrypted. Raises InvalidInput for a token that cannot be
    sent, for bytes that are no PEM, and for a certificate without its key.
    """

    token: str = field(default="", repr=False)
    ca: bytes | None = field(default=None, repr=False)
    tls: bool = False
    certificate: bytes | None = field(default=None, repr=False)
    key: bytes | None = field(default=None, repr=False)
    server_name: str = ""
    insecure_token: bool = False

    def __post_init__(self) -> None:
        if not (self.token.isascii() and self.token.isprintable()):
            raise InvalidInput("the token must be one line of printable ASCII", reason="TOKEN_INVALID")
        if (self.certificate is None) != (self.key is None):
            raise InvalidInput(
                "a client certificate needs its key, and a key its certificate", reason=_CERTIFICATE_INVALID
            )
        for name, pem in (("ca", self.ca), ("certificate", self.certificate), ("key", self.key)):
            if pem is not None and _PEM not in pem:
                raise InvalidInput(
                    f"{name} must be in PEM: a text with {_PEM.decode()}", reason=_CERTIFICATE_INVALID
                )
        if self.key is not None and b"ENCRYPTED" in self.key:
            raise InvalidInput("the key must have no password", reason=_CERTIFICATE_INVALID)

    @property
    def encrypted(self) -> bool:
        """True if the connection uses TLS."""
        return self.tls or self.ca is not None or self.certificate is not None or bool(self.server_name)

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """The metadata that goes along with every call."""
        return (("authorization", f"Bearer {self.token}"),) if self.token else ()

    @classmethod
    def from_files(
        cls,
        *,
        token: str | PathLike[str] | None = None,
        ca: str | PathLike[str] | None = None,
        certificate: str | PathLike[str] | None = None,
        key: str | PathLike[str] | None = None,
        server_name: str = "",
        insecure_token: bool = False,
    ) -> Credentials:
        """Read the token, without surrounding whitespace, the certificates and the key from files.

        Raises InvalidInput.
        """
        return cls(
            token=_read(token).decode(errors="replace").strip(),
            ca=_read(ca) if ca else None,
            certificate=_read(certificate) if certificate else None,
            key=_read(key) if key else None,
            server_name=server_name,
            insecure_token=insecure_token,
        )


DEFAULT_TIMEOUT = Timeout()
DEFAULT_RETRY = Retry()
ANONYMOUS = Credentials()


def _read(path: str | PathLike[str] | None) -> bytes:
    if path is None:
        return b""
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise InvalidInput(f"{path}: {error.strerror}", reason="FILE_UNREADABLE") from error
