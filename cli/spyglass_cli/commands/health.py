"""`spyglass health`: the health of a server, for container health checks and scripts."""

from __future__ import annotations

import argparse
import sys
import time

from spyglass_cli.flags.connection import add_connection_options, open_channel, read_credentials
from spyglass_cli.flags.extras import require
from spyglass_cli.flags.types import non_negative_seconds
from spyglass_client import Credentials

_CALL_SECONDS = 3.0
_POLL_SECONDS = 0.1
_SERVING = "SERVING"


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "health",
        help="check whether a server is ready",
        description="Print the health of a server, such as SERVING or NOT_SERVING, or the status code of a "
        "failed call.",
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
    arguments.server = arguments.server or _server_of_settings()
    credentials = read_credentials(arguments)
    end = time.monotonic() + arguments.wait
    while True:
        health = _check(arguments, credentials)
        if health == _SERVING or time.monotonic() >= end:
            print(health, file=sys.stdout if health == _SERVING else sys.stderr)
            return 0 if health == _SERVING else 1
        time.sleep(_POLL_SECONDS)


def _server_of_settings() -> str:
    """Return the address of a server on this machine that has the settings of SPYGLASS_HOST and the like."""
    require("server", "pydantic_settings")
    from spyglass_server.settings import load_settings

    return load_settings([]).local_target


def _check(arguments: argparse.Namespace, credentials: Credentials) -> str:
    """Return the name of the serving status, or of the status code if the call fails."""
    import grpc
    from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
    from grpc_health.v1.health_pb2_grpc import HealthStub

    request = HealthCheckRequest(service=arguments.service)
    with open_channel(arguments.server, credentials) as channel:
        try:
            response = HealthStub(channel).Check(
                request, timeout=arguments.timeout, metadata=credentials.metadata
            )
        except grpc.RpcError as error:
            return str(error.code().name)
    return str(HealthCheckResponse.ServingStatus.Name(response.status))
