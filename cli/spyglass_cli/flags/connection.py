"""The flags of the connection to a server."""

from __future__ import annotations

import argparse
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import spyglass_client
from spyglass_cli.flags.types import positive_seconds, server_address
from spyglass_client import Client, Credentials, Timeout

if TYPE_CHECKING:
    import grpc

SERVER_VARIABLE = "SPYGLASS_SERVER"
DEFAULT_SECONDS = Timeout().call
# The name by which `spyglass_cli.report` imports the type.


def add_connection_options(
    parser: argparse.ArgumentParser,
    default_server: str = "",
    default_seconds: float | None = DEFAULT_SECONDS,
    *,
    otherwise: str = "",
) -> None:
    """Add `--server`, `--timeout`, `--token-file`, `--ca`, `--certificate` and `--key`.

    The environment variable SPYGLASS_SERVER overrides `default_server`. Without both, `--server` defaults to
    None; `otherwise` says in the help what that means.
    """
    otherwise = otherwise or default_server
    group = parser.add_argument_group("connection")
    group.add_argument(
        "--server",
        type=_server,
        default=os.environ.get(SERVER_VARIABLE, "").strip() or default_server or None,
        metavar="HOST:PORT",
        help=f"address of the server (default: the environment variable {SERVER_VARIABLE}"
        f"{', or ' if otherwise else ''}{otherwise})",
    )
    group.add_argument(
        "--timeout",
        type=positive_seconds,
        default=default_seconds,
        metavar="S",
        help="longest time to wait for a server and its response, in seconds (default: %(default)g)",
    )
    group.add_argument("--token-file", type=Path, metavar="FILE", help="file with the bearer token")
    group.add_argument(
        "--ca",
        type=Path,
        metavar="FILE",
        help="PEM file of the certificate authorities to trust; turns TLS on",
    )
    group.add_argument(
        "--certificate",
        type=Path,
        metavar="FILE",
        help="PEM file of the client's certificate, for a server that requires one; turns TLS on",
    )
    group.add_argument("--key", type=Path, metavar="FILE", help="PEM file with the key of --certificate")


def open_client(arguments: argparse.Namespace) -> Client:
    """Return a client with the given flags. Raises InvalidInput if it cannot read a file."""
    _silence_grpc()
    return Client(
        arguments.server, timeout=Timeout(call=arguments.timeout), credentials=read_credentials(arguments)
    )


def open_channel(target: str, credentials: Credentials, server_name: str = "") -> grpc.Channel:
    """Return a channel to one server, past any proxy, for calls that the client does not have.

    The certificate of the server must be of `server_name`; by default, of the name in `target`. Raises
    InvalidInput for several addresses.
    """
    _silence_grpc()
    return spyglass_client.open_channel(target, credentials=credentials, proxy=False, server_name=server_name)


def read_credentials(arguments: argparse.Namespace) -> Credentials:
    """Return the token and the certificates. Raises InvalidInput if it cannot read a file."""
    return CredentialFiles.of(arguments).read()


@dataclass(frozen=True)
class CredentialFiles:
    """The files of the flags. Other processes can read them, too."""

    token: Path | None = None
    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None

    @classmethod
    def of(cls, arguments: argparse.Namespace) -> CredentialFiles:
        """Return the files that the flags name."""
        return cls(arguments.token_file, arguments.ca, arguments.certificate, arguments.key)

    def __bool__(self) -> bool:
        return self != CredentialFiles()

    def read(self) -> Credentials:
        """Return the credentials in the files. Raises InvalidInput."""
        return Credentials.from_files(
            token=self.token, ca=self.ca, certificate=self.certificate, key=self.key
        )


def _server(text: str) -> str:
    try:
        return server_address(text)
    except argparse.ArgumentTypeError as error:
        if text != os.environ.get(SERVER_VARIABLE, "").strip():
            raise
        raise argparse.ArgumentTypeError(f"{error} (environment variable {SERVER_VARIABLE})") from error


def _silence_grpc() -> None:
    """Keep gRPC from writing lines about lost connections; the command's own error reports them."""
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
