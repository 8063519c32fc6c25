"""How a client behaves: small value objects that are made once and shared freely."""

from __future__ import annotations

from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path

from spyglass_contract.errors import InvalidInput


@dataclass(frozen=True)
class Timeout:
    """How long to wait, in seconds.

    `call` is for one call from first to last attempt, and for each image of a stream from when it is
    sent; None: for ever. `connect` is for one attempt to reach the server. Raises ValueError unless both are
    above 0.
    """

    call: float | None = 30.0
    connect: float = 5.0

    def __post_init__(self) -> None:
        if self.connect <= 0 or (self.call is not None and self.call <= 0):
            raise ValueError(f"a timeout is above 0 seconds, not {self}")

    def override(self, seconds: float | None) -> float | None:
        """`seconds` where they are given, else `call`."""
        return self.call if seconds is None else seconds


@dataclass(frozen=True)
class Retry:
    """How often to ask again where that is safe: the server is out of reach, or says when it has room.

    `attempts` counts the first one: 1 never asks again. The pause after the n-th attempt is
    `initial_backoff` · 2ⁿ⁻¹ seconds, at most `max_backoff`; of it the part `jitter`, in [0, 1], is left to
    chance (1: "full jitter", https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/).
    No pause reaches past the call's deadline. Raises ValueError for values out of range.
    """

    attempts: int = 5
    initial_backoff: float = 0.2
    max_backoff: float = 5.0
    jitter: float = 1.0

    def __post_init__(self) -> None:
        if self.attempts < 1 or not 0 < self.initial_backoff <= self.max_backoff or not 0 <= self.jitter <= 1:
            raise ValueError(f"these retries make no sense: {self}")


@dataclass(frozen=True)
class Credentials:
    """Who the caller is, and how the server proves who it is.

    `token` goes along with every call as a bearer token. `ca` holds the certificates, in PEM, of who may
    vouch for the server, None: those that gRPC brings along. `tls` is implied by `ca`; without either the
    connection is in the clear. Raises InvalidInput for a token that cannot be sent.
    """

    token: str = field(default="", repr=False)
    ca: bytes | None = field(default=None, repr=False)
    tls: bool = False

    def __post_init__(self) -> None:
        if not (self.token.isascii() and self.token.isprintable()):
            raise InvalidInput("a token is printable ASCII on one line", reason="TOKEN_INVALID")

    @property
    def encrypted(self) -> bool:
        """Whether the connection uses TLS."""
        return self.tls or self.ca is not None

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """What goes along with every call."""
        return (("authorization", f"Bearer {self.token}"),) if self.token else ()

    @classmethod
    def from_files(
        cls, *, token: str | PathLike[str] | None = None, ca: str | PathLike[str] | None = None
    ) -> Credentials:
        """Reads a token, blanks around it left out, and certificates from files. Raises InvalidInput."""
        return cls(token=_read(token).decode(errors="replace").strip(), ca=_read(ca) if ca else None)


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
