"""`spyglass health`: is a server ready? For container health checks and scripts."""

from __future__ import annotations

import argparse
import os
import sys
import time

from spyglass_cli.flags.extras import require

_CALL_SECONDS = 3.0
_POLL_SECONDS = 0.1


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command."""
    parser = subparsers.add_parser("health", help="ask a server whether it is ready")
    parser.add_argument(
        "--server",
        metavar="HOST:PORT",
        default=os.environ.get("SPYGLASS_SERVER", "localhost:50051"),
        help="the server (default: SPYGLASS_SERVER, or %(default)s)",
    )
    parser.add_argument("--service", default="", help="a model's name; empty: the server as a whole")
    parser.add_argument(
        "--wait", metavar="S", type=float, default=0.0, help="seconds to go on asking until it is ready"
    )
    parser.set_defaults(func=run)


def run(arguments: argparse.Namespace) -> int:
    """Prints the server's word for its health; 0 where that is SERVING, 1 otherwise."""
    require("server", "grpc_health")
    import grpc
    from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
    from grpc_health.v1.health_pb2_grpc import HealthStub

    request = HealthCheckRequest(service=arguments.service)
    give_up = time.monotonic() + arguments.wait
    while True:
        with grpc.insecure_channel(arguments.server) as channel:
            try:
                reply = HealthStub(channel).Check(request, timeout=_CALL_SECONDS)
                answer = HealthCheckResponse.ServingStatus.Name(reply.status)
            except grpc.RpcError as error:
                answer = error.code().name
        if answer == "SERVING" or time.monotonic() >= give_up:
            print(answer, file=sys.stdout if answer == "SERVING" else sys.stderr)
            return 0 if answer == "SERVING" else 1
        time.sleep(_POLL_SECONDS)
