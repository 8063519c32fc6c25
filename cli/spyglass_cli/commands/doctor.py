"""`spyglass doctor`: what is wrong with this machine and these settings, and what to do."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable
from dataclasses import asdict
from itertools import chain

from spyglass_cli.diagnosing.finding import Finding, Subject
from spyglass_cli.flags.connection import add_connection_options, read_credentials
from spyglass_cli.flags.extras import require

_PROGRAM = "spyglass doctor"
_SERVER_SECONDS = 5.0


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command. It also takes the flags of `spyglass serve`, which `run` reads."""
    parser = subparsers.add_parser(
        "doctor",
        help="check this machine and the settings of a server",
        description="Check packages, device, processors and memory, TLS files, ports, limits, clock, folders "
        "and models for a server with these settings, and say what to do.",
        epilog="The command also takes every flag of `spyglass serve`, and reads the same variables and YAML "
        "file. The exit code is 1 if a check fails, and 0 otherwise, also with warnings.",
        allow_abbrev=False,
    )
    parser.add_argument("--quick", action="store_true", help="do not replay the certificates of the models")
    parser.add_argument(
        "--format", choices=("text", "json"), default="text", help="output format (default: %(default)s)"
    )
    add_connection_options(parser, default_seconds=_SERVER_SECONDS, otherwise="no running server is checked")
    parser.set_defaults(func=run, takes_remainder=True)


def run(arguments: argparse.Namespace) -> int:
    """Print each finding; return 1 if a check fails, else 0. Raises InvalidInput for an invalid setting."""
    require("server", "pydantic_settings")
    from spyglass_cli.diagnosing.registry import diagnose
    from spyglass_server.settings import read_settings

    loaded = read_settings(arguments.remainder, _PROGRAM)
    subject = Subject(
        loaded.settings,
        quick=arguments.quick,
        target=arguments.server or "",
        credentials=read_credentials(arguments),
        seconds=arguments.timeout,
    )
    warnings = [("settings", Finding("warn", text, "correct its name")) for text in loaded.warnings]
    statuses = _print(chain(warnings, diagnose(subject)), arguments.format)
    return int("fail" in statuses)


def _print(findings: Iterable[tuple[str, Finding]], form: str) -> set[str]:
    """Print the findings, as text one by one; return their statuses."""
    shown = []
    for name, finding in findings:
        shown.append({"check": name, **asdict(finding)})
        if form == "text":
            advice = f"; {finding.advice}" if finding.advice else ""
            print(f"{finding.status:<4}  {name}: {finding.message}{advice}", flush=True)
    if form == "json":
        json.dump(shown, sys.stdout, indent=2)
        print()
    return {entry["status"] for entry in shown}
