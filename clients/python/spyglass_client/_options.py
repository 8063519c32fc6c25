"""The options of a client: small immutable objects that clients may share."""

from __future__ import annotations

from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path

from spyglass_contract.errors import InvalidInput


@dataclass(frozen=True)
class Timeout:
    """Limits on waiting, in seconds.

    `call` limits one call from its first to its last attempt, and each image of a stream from the moment it
    is taken; None: no limit. `connect` limits one attempt to reach the server. Raises ValueError unless both
    are above 0.
    """

    call: float | None = 30.0
    connect: float = 5.0

    def __post_init__(self) -> None:
        if self.connect <= 0 or (self.call is not None and self.call <= 0):
            raise ValueError(f"Timeout needs call > 0 and connect > 0, not {self}")

    def override(self, seconds: float | None) -> float | None:
        """Return `seconds` if it is not None, else `call`."""
        return self.call if seconds is None else seconds


@dataclass(frozen=True)
class Retry:
    """When to retry: if the server cannot be reached, or if it is overloaded and says when to retry.

    `attempts` counts the first one: 1 means no retry. The pause after the n-th attempt is
    `initial_backoff` · 2ⁿ⁻¹ seconds, at most `max_backoff`. The part `jitter` of it, in [0, 1], is random
    (1: "full jitter", https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/).
    No pause goes past the deadline of the call. Raises ValueError for values out of range.
    """

    attempts: int = 5
    initial_backoff: float = 0.2
    max_backoff: float = 5.0
    jitter: float = 1.0

    def __post_init__(self) -> None:
        if self.attempts < 1 or not 0 < self.initial_backoff <= self.max_backoff or not 0 <= self.jitter <= 1:
            raise ValueError(
                f"Retry needs attempts >= 1, 0 < initial_backoff <= max_backoff, 0 <= jitter <= 1, not {self}"
            )


@dataclass(frozen=True)
class Credentials:
    """The caller's token, and the certificate authorities that the client trusts.

    The client sends `token` with every call as a bearer token. `ca` holds certificate authorities in PEM,
    None: those that gRPC includes. `ca` turns TLS on; without `ca` and `tls` the connection is not encrypted.
    Raises InvalidInput for a token that cannot be sent.
    """

    token: str = field(default="", repr=False)
    ca: bytes | None = field(default=None, repr=False)
    tls: bool = False

    def __post_init__(self) -> None:
        if not (self.token.isascii() and self.token.isprintable()):
            raise InvalidInput("the token must be one line of printable ASCII", reason="TOKEN_INVALID")

    @property
    def encrypted(self) -> bool:
        """True if the connection uses TLS."""
        return self.tls or self.ca is not None

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """The metadata that goes along with every call."""
        return (("authorization", f"Bearer {self.token}"),) if self.token else ()

    @classmethod
    def from_files(
        cls, *, token: str | PathLike[str] | None = None, ca: str | PathLike[str] | None = None
    ) -> Credentials:
        """Read the token, without surrounding whitespace, and the certificates from files.

        Raises InvalidInput.
        """
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
