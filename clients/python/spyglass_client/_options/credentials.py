"""Who calls, and whom the client trusts."""

from __future__ import annotations

from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path

from spyglass_contract.errors import InvalidInput

# What every file in PEM has.
_PEM = b"-----BEGIN "
_CERTIFICATE_INVALID = "CERTIFICATE_INVALID"


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


def _read(path: str | PathLike[str] | None) -> bytes:
    if path is None:
        return b""
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise InvalidInput(f"{path}: {error.strerror}", reason="FILE_UNREADABLE") from error
