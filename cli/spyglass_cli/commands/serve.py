"""`spyglass serve`: the server."""

from __future__ import annotations

import argparse
import sys

from spyglass_cli.flags.extras import require


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command. Its flags are the server's settings, which `run` reads after it checks the extra."""
    parser = subparsers.add_parser("serve", help="serve models over gRPC", add_help=False)
    parser.set_defaults(func=run, takes_remainder=True)


def run(arguments: argparse.Namespace) -> int:
    """Serve until SIGTERM or SIGINT.

    Returns 0 after a clean end, 1 if the server cannot start, and 2 for an invalid setting.
    """
    require("server", "onnxruntime")
    require("server", "pydantic_settings")
    from pydantic import ValidationError

    from spyglass_server.process import serve
    from spyglass_server.settings import load_settings

    _make_parser().parse_args(arguments.remainder)
    try:
        settings = load_settings(arguments.remainder)
    except ValidationError as error:
        for problem in error.errors():
            print(f"spyglass serve: {'.'.join(map(str, problem['loc']))}: {problem['msg']}", file=sys.stderr)
        return 2
    return serve(settings)


def _make_parser() -> argparse.ArgumentParser:
    """Return the parser that prints the help and rejects unknown flags."""
    from spyglass_cli.flags.settings import add_setting_flags
    from spyglass_server.settings import ServerSettings

    parser = argparse.ArgumentParser(
        prog="spyglass serve",
        description="Serve models over gRPC until SIGTERM or SIGINT.",
        epilog="Each setting can also come from the environment, such as SPYGLASS_MAX_BATCH for --max-batch, "
        "or from the YAML file of --config. Flags override the environment, and the environment overrides "
        "the file.",
    )
    add_setting_flags(parser, ServerSettings)
    return parser
