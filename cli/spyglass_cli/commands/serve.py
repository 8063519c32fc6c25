"""`spyglass serve`: the server."""

from __future__ import annotations

import argparse
import sys

from spyglass_cli.flags.extras import require


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command; its flags are the server's settings, which read them themselves."""
    parser = subparsers.add_parser("serve", help="serve models over gRPC", add_help=False)
    parser.set_defaults(func=run, takes_remainder=True)


def run(arguments: argparse.Namespace) -> int:
    """Serves until SIGTERM or SIGINT. The exit code: 0, 1 where the server could not start, 2 for usage."""
    require("server", "onnxruntime")
    require("server", "pydantic_settings")
    from pydantic import ValidationError

    from spyglass_server.process import serve
    from spyglass_server.settings import load_settings

    try:
        settings = load_settings(arguments.remainder)
    except ValidationError as error:
        for problem in error.errors():
            print(f"spyglass serve: {'.'.join(map(str, problem['loc']))}: {problem['msg']}", file=sys.stderr)
        return 2
    return serve(settings)
