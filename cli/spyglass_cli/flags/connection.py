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


def add_connection_options(
    parser: argparse.ArgumentParser,
    default_server: str = "",
    default_seconds: float | None = DEFAULT_SECONDS,
    *,
    otherwise: str = "",
    several: bool = False,
) -> None:
    """Add `--server`, `--timeout`, and the flags of TLS and of the token.

    The environment variable SPYGLASS_SERVER overrides `default_server`. Without both, `--server` defaults to
    None; `otherwise` says in the help what that means. `several` is for commands that spread their calls over
    several servers.
    """
    otherwise = otherwise or default_server
    whose = "the server, or of several, separated by commas" if several else "the server"
    group = parser.add_argument_group("connection")
    group.add_argument(
        "--server",
        type=_server,
        default=os.environ.get(SERVER_VARIABLE, "").strip() or default_server or None,
        metavar="HOST:PORT",
        help=f"address of {whose} (default: the environment variable {SERVER_VARIABLE}"
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
    group.add_argument(
        "--server-name",
        default="",
        metavar="NAME",
        help="name that the server's certificate must contain (default: the host in --server); turns TLS on",
    )
    group.add_argument(
        "--insecure-token",
        action="store_true",
        help="send the token to another machine without TLS, where others may read it",
    )


def open_client(arguments: argparse.Namespace) -> Client:
    """Return a client with the given flags. Raises InvalidInput if it cannot read a file."""
    _silence_grpc()
    return Client(
        arguments.server, timeout=Timeout(call=arguments.timeout), credentials=read_credentials(arguments)
    )


def open_channel(target: str, credentials: Credentials) -> grpc.Channel:
    """Return a channel to one server, past any proxy, for calls that the client does not have.

    Raises InvalidInput for several addresses, and for credentials that do not fit the address.
    """
    _silence_grpc()
    return spyglass_client.open_channel(target, credentials=credentials, proxy=False)


def read_credentials(arguments: argparse.Namespace) -> Credentials:
    """Return the token and the certificates. Raises InvalidInput if it cannot read a file."""
    return ConnectionFlags.of(arguments).read()


@dataclass(frozen=True)
class ConnectionFlags:
    """The flags of TLS and of the token. Other processes can read their files, too."""

    token: Path | None = None
    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    server_name: str = ""
    insecure_token: bool = False

    @classmethod
    def of(cls, arguments: argparse.Namespace) -> ConnectionFlags:
        """Return the flags that were given."""
        return cls(
            arguments.token_file,
            arguments.ca,
            arguments.certificate,
            arguments.key,
            arguments.server_name,
            arguments.insecure_token,
        )

    def __bool__(self) -> bool:
        return self != ConnectionFlags()

    def read(self) -> Credentials:
        """Return the credentials in the files. Raises InvalidInput."""
        return Credentials.from_files(**vars(self))


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
