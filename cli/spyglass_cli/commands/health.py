"""`spyglass health`: the health of a server, for container health checks and scripts."""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from spyglass_cli.flags.connection import add_connection_options, open_channel, read_credentials
from spyglass_cli.flags.extras import require
from spyglass_cli.flags.types import non_negative_seconds
from spyglass_client import Credentials, Timeout, call_error

if TYPE_CHECKING:
    from spyglass_server.settings import ServerSettings
    from spyglass_server.tls.files import TlsFiles

_CALL_SECONDS = 3.0
_POLL_SECONDS = 0.1
_SERVING = "SERVING"


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "health",
        help="check whether a server is ready",
        description="Print the health of a server, such as SERVING or NOT_SERVING, or the status code of a "
        "failed call, and in the next line why the server cannot be reached.",
        epilog="The exit code is 0 if the server is SERVING, and 1 otherwise.",
    )
    parser.add_argument(
        "--service",
        default="",
        metavar="MODEL",
        help="name of the model to check (default: the server as a whole)",
    )
    parser.add_argument(
        "--wait",
        type=non_negative_seconds,
        default=0.0,
        metavar="S",
        help="repeat the check for up to S seconds until the server is ready (default: %(default)g)",
    )
    add_connection_options(
        parser,
        default_seconds=_CALL_SECONDS,
        otherwise="the server that the settings in the environment start",
    )
    parser.set_defaults(func=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the health; return 0 if it is SERVING, else 1.

    Raises InvalidInput if a file cannot be read, or if a setting in the environment is invalid.
    """
    require("server", "grpc_health")
    credentials = read_credentials(arguments)
    if not arguments.server:
        settings = _settings()
        arguments.server = settings.local_target
        if settings.tls_files:
            credentials = _as_its_own(settings.tls_files, credentials)
    end = time.monotonic() + arguments.wait
    while True:
        health, cause = _check(arguments, credentials)
        if health == _SERVING:
            print(health)
            return 0
        if time.monotonic() >= end:
            print(health, *cause, sep="\n", file=sys.stderr)
            return 1
        time.sleep(_POLL_SECONDS)


def _settings() -> ServerSettings:
    """Return the settings of a server on this machine, from SPYGLASS_HOST and the like."""
    require("server", "pydantic_settings")
    from spyglass_server.settings import load_settings

    return load_settings([])


def _as_its_own(files: TlsFiles, credentials: Credentials) -> Credentials:
    """Fill up credentials with the server's own files: trust its certificate, for the name in it.

    If clients need a certificate, show the server's own: its authority is often theirs, too. Raises
    InvalidInput if a file cannot be read or holds no certificate.
    """
    from spyglass_server.tls.own_name import own_name

    shows = files.client_ca is not None and credentials.certificate is None
    own = Credentials.from_files(
        ca=files.certificate,
        certificate=files.certificate if shows else None,
        key=files.key if shows else None,
    )
    return replace(
        credentials,
        ca=credentials.ca or own.ca,
        certificate=credentials.certificate or own.certificate,
        key=credentials.key or own.key,
        server_name=credentials.server_name or own_name(files.certificate),
    )


def _check(arguments: argparse.Namespace, credentials: Credentials) -> tuple[str, list[str]]:
    """Return the name of the serving status, or of the status code if the call fails, and why it did."""
    import grpc
    from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
    from grpc_health.v1.health_pb2_grpc import HealthStub

    request = HealthCheckRequest(service=arguments.service)
    with open_channel(arguments.server, credentials) as channel:
        try:
            response = HealthStub(channel).Check(
                request, timeout=Timeout(call=arguments.timeout).override(None), metadata=credentials.metadata
            )
        except grpc.RpcError as error:
            code = error.code()
            unreachable = code is grpc.StatusCode.UNAVAILABLE
            return code.name, [call_error(error).message] if unreachable else []
    return HealthCheckResponse.ServingStatus.Name(response.status), []
