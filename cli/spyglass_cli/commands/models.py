"""`spyglass models`: what a server serves."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Sequence

from spyglass_cli.flags.connection import add_connection_options, open_client
from spyglass_cli.flags.heatmap import explanation
from spyglass_client import DEFAULT_TARGET, ModelDetails, ServedModel
from spyglass_contract.model.card import card_to_json


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command and its own."""
    parser = subparsers.add_parser("models", help="show a running server's models")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", dest="models_command")
    listing = commands.add_parser("list", help="list the models that are served")
    listing.set_defaults(func=run_list)
    showing = commands.add_parser("show", help="show one model: its card, and how it is run")
    showing.add_argument("model", metavar="NAME[:VERSION|@LABEL]")
    showing.set_defaults(func=run_show)
    for command in (listing, showing):
        command.add_argument("--format", choices=("table", "json"), default="table")
        add_connection_options(command, DEFAULT_TARGET)


def run_list(arguments: argparse.Namespace) -> int:
    """The exit code, 0; raises SpyglassError."""
    with open_client(arguments) as client:
        models = client.models()
    if arguments.format == "json":
        json.dump([model.to_dict() for model in models], sys.stdout, indent=2)
        print()
    else:
        _print_table(("model", "task", "classes", "runs on", "default"), (_row(model) for model in models))
    return 0


def run_show(arguments: argparse.Namespace) -> int:
    """The exit code, 0; raises SpyglassError."""
    with open_client(arguments) as client:
        details = client.model(arguments.model)
    if arguments.format == "json":
        both = {"card": json.loads(card_to_json(details.card)), "served": details.served.to_dict()}
        json.dump(both, sys.stdout, indent=2)
        print()
    else:
        _print_table((), _facts(details))
    return 0


def _row(model: ServedModel) -> tuple[str, ...]:
    default = "yes" if model.is_default else ""
    return (f"{model.name}:{model.version}", model.task, str(model.class_count), _runs_on(model), default)


def _runs_on(model: ServedModel) -> str:
    threads = f"{model.workers} x {model.threads_per_worker} threads"
    return f"{model.provider}, {threads}, batches to {model.max_batch}"


def _facts(details: ModelDetails) -> list[tuple[str, str]]:
    """What a person wants to know, in that order; what the card leaves open is left out."""
    card, served = details.card, details.served
    certificate, origin = card.certificate, card.provenance
    facts = [
        ("model", f"{card.name}:{card.version}"),
        ("task", served.task),
        ("description", card.description),
        ("classes", _classes(card.class_names)),
        ("input", f"{card.input.width} x {card.input.height} pixels"),
        ("explains", explanation(card) if card.explained_layer else ""),
        ("architecture", origin.architecture),
        ("parameters", f"{origin.parameters:,}" if origin.parameters else ""),
        ("training data", origin.training_data),
        ("licence", origin.licence),
        *((name.replace("_", " "), f"{value:g}") for name, value in sorted(origin.metrics.items())),
        ("certificate", f"{certificate.reference}, to {certificate.max_abs_diff:.1e}, {certificate.created}"),
        ("runs on", _runs_on(served)),
        ("sha256", served.sha256),
    ]
    return [(name, value) for name, value in facts if value]


def _classes(names: Sequence[str]) -> str:
    shown = ", ".join(names[:5])
    return f"{len(names)}: {shown}, ..." if len(names) > 5 else f"{len(names)}: {shown}"


def _print_table(headers: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(*headers, box=box.SIMPLE_HEAD, show_header=bool(headers))
    for row in rows:
        table.add_row(*map(Text, row))
    Console(width=None if sys.stdout.isatty() else 160).print(table)
