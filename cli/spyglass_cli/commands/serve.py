"""`spyglass serve`: the server."""

from __future__ import annotations

import argparse
import logging
import os

from spyglass_cli.flags.extras import require

_log = logging.getLogger(__name__)


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command. Its flags are the server's settings, which `run` reads after it checks the extra."""
    parser = subparsers.add_parser("serve", help="serve models over gRPC", add_help=False)
    parser.set_defaults(func=run, takes_remainder=True)


def run(arguments: argparse.Namespace) -> int:
    """Serve until SIGTERM, SIGINT or SIGHUP.

    Returns 0 after a clean end, and 1 if the server cannot start. Raises InvalidInput for an invalid setting.
    """
    require("server", "onnxruntime")
    require("server", "pydantic_settings")
    # Before gRPC is imported. It writes a line about each failed handshake, beside the log: anybody could
    # fill it.
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    from spyglass_server.logs import configure_logging
    from spyglass_server.settings import read_settings

    loaded = read_settings(arguments.remainder)
    configure_logging(loaded.settings.log_format, loaded.settings.log_level)
    for warning in loaded.warnings:
        _log.warning("%s", warning)
    # The supervisor of several workers loads no models, and imports nothing that does.
    if loaded.settings.workers > 1:
        from spyglass_server.supervising.supervisor import supervise

        return supervise(loaded.settings)
    from spyglass_server.process import serve

    return serve(loaded.settings)
