"""The flags of the connection to a server."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

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
    """Add `--server`, `--timeout`, `--token-file` and `--ca`.

    The environment variable SPYGLASS_SERVER overrides `default_server`. Without both, `--server` defaults to
    None; `otherwise` says in the help what that means.
    """
    otherwise = otherwise or default_server
    group = parser.add_argument_group("connection")
    group.add_argument(
        "--server",
        type=server_address,
        default=os.environ.get(SERVER_VARIABLE) or default_server or None,
        metavar="HOST:PORT",
        help=f"address of the server (default: the environment variable {SERVER_VARIABLE}"
        f"{', or ' if otherwise else ''}{otherwise})",
    )
    group.add_argument(
        "--timeout",
        type=positive_seconds,
        default=default_seconds,
        metavar="S",
        help="longest time to wait for a response, in seconds (default: %(default)g)",
    )
    group.add_argument("--token-file", type=Path, metavar="FILE", help="file with the bearer token")
    group.add_argument(
        "--ca",
        type=Path,
        metavar="FILE",
        help="PEM file of the certificate authorities to trust; turns TLS on",
    )


def open_client(arguments: argparse.Namespace) -> Client:
    """Return a client with the given flags. Raises InvalidInput if it cannot read a file."""
    _silence_grpc()
    return Client(
        arguments.server, timeout=Timeout(call=arguments.timeout), credentials=read_credentials(arguments)
    )


def open_channel(target: str, credentials: Credentials) -> grpc.Channel:
    """Return a channel to `target`, HOST:PORT, for calls that the client does not have."""
    _silence_grpc()
    import grpc

    if credentials.encrypted:
        return grpc.secure_channel(target, grpc.ssl_channel_credentials(credentials.ca))
    return grpc.insecure_channel(target)


def read_credentials(arguments: argparse.Namespace) -> Credentials:
    """Return the token and the certificates. Raises InvalidInput if it cannot read a file."""
    return Credentials.from_files(token=arguments.token_file, ca=arguments.ca)


def _silence_grpc() -> None:
    """Keep gRPC from writing lines about lost connections; the command's own error reports them."""
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
