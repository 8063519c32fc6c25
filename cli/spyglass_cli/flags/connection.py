"""The options that say which server to ask, and how."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from spyglass_client import Client, Credentials, Timeout

SERVER_VARIABLE = "SPYGLASS_SERVER"
DEFAULT_SECONDS = Timeout().call


def add_connection_options(parser: argparse.ArgumentParser, default_server: str = "") -> None:
    """Adds `--server`, `--timeout`, `--token-file` and `--ca`."""
    server = os.environ.get(SERVER_VARIABLE) or default_server or None
    group = parser.add_argument_group("the server")
    group.add_argument(
        "--server",
        type=_address,
        default=server,
        metavar="HOST:PORT",
        help=f"the server to ask; {SERVER_VARIABLE} in the environment says the same"
        + (f" (default: {default_server})" if default_server else ""),
    )
    group.add_argument(
        "--timeout",
        type=seconds,
        default=DEFAULT_SECONDS,
        metavar="S",
        help="seconds that an answer may take (default: %(default)g)",
    )
    group.add_argument("--token-file", type=Path, metavar="F", help="a file that holds the token to show")
    group.add_argument(
        "--ca",
        type=Path,
        metavar="F",
        help="certificates, in PEM, of who vouches for the server; turns TLS on",
    )


def open_client(arguments: argparse.Namespace) -> Client:
    """A client by these options. Raises InvalidInput for a file that cannot be read."""
    # gRPC's own notes on lost connections are no help to whom the error is told anyway.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    credentials = Credentials.from_files(token=arguments.token_file, ca=arguments.ca)
    return Client(arguments.server, timeout=Timeout(call=arguments.timeout), credentials=credentials)


def positive(text: str) -> int:
    """A whole number, 1 or more."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not 1 or more")
    return number


def seconds(text: str) -> float:
    """A time above 0 that ends."""
    number = float(text)
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is no time to wait")
    return number


def _address(text: str) -> str:
    if ":" not in text:
        raise argparse.ArgumentTypeError(f"{text!r} is not HOST:PORT")
    return text
