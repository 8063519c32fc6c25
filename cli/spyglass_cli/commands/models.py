"""`spyglass models`: the models of a running server. `models_changes` has the commands that change them."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from typing import Any

from spyglass.v1.model_pb2 import (
    SCORE_KIND_LOGIT,
    SCORE_KIND_SIGMOID,
    SCORE_KIND_SOFTMAX,
    Certificate,
)
from spyglass_cli.commands import models_index
from spyglass_cli.commands.models_changes import LOAD_SECONDS, add_changes
from spyglass_cli.flags.connection import add_connection_options, open_client
from spyglass_cli.flags.heatmap import explanation
from spyglass_cli.output.drift_table import HEADINGS, class_changes, drift_json, drift_rows
from spyglass_cli.output.printing import print_json, print_rows
from spyglass_cli.output.reduced_precision import reduced_facts
from spyglass_cli.output.version_rows import VersionRow, problems, share_text, version_rows
from spyglass_client import DEFAULT_TARGET, ModelDetails, ModelVersions, Profile, ServedModel
from spyglass_contract.errors import FailedPrecondition, NotFound
from spyglass_contract.model.card import card_to_json
from spyglass_contract.model.drift import drift
from spyglass_contract.model.names import model_ref
from spyglass_contract.model.statistics import Statistics

# Class names that `models show` prints before it cuts the list.
_SHOWN_CLASSES = 5

_RUN_HEADINGS = ("batch", "threads", "at once", "milliseconds", "images per second")

_SCORE_KINDS: dict[int, str] = {
    SCORE_KIND_SOFTMAX: "probabilities of classes that exclude each other (softmax)",
    SCORE_KIND_SIGMOID: "probabilities of independent labels (a sigmoid each)",
    SCORE_KIND_LOGIT: "logits",
}


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command with `list`, `show`, `drift`, `index`, and those that change the models."""
    parser = subparsers.add_parser(
        "models", help="show and change the models of a running server; write the index of a repository"
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND", dest="models_command")
    added: list[argparse.ArgumentParser] = []

    def add(name: str, run: Callable[[argparse.Namespace], int], **texts: Any) -> argparse.ArgumentParser:
        command = commands.add_parser(name, **texts)
        command.set_defaults(func=run)
        added.append(command)
        return command

    add("list", run_list, help="list the versions that a server knows, with their states, labels and traffic")
    showing = add(
        "show", run_show, help="show one model: its card, provider, threads, batch size, speed and labels"
    )
    showing.add_argument("model", metavar="NAME[:VERSION|@LABEL]", help="the model to show")
    drifting = add(
        "drift",
        run_drift,
        help="compare what a model sees with its baseline",
        description="Compare the images that a server has seen of late with the baseline in the card of the "
        "model. The server must keep statistics (`spyglass serve --statistics`). The card needs a baseline "
        "(`spyglass baseline`).",
        epilog="The exit code is 0 whatever the drift is, and 1 if there is nothing to compare.",
    )
    drifting.add_argument("model", metavar="NAME[:VERSION|@LABEL]", help="the model to compare")
    waiting = add_changes(add)
    models_index.add_parser(commands)
    for command in added:
        command.add_argument(
            "--format",
            choices=("table", "json"),
            default="table",
            help="output format (default: %(default)s)",
        )
        if command in waiting:
            add_connection_options(command, DEFAULT_TARGET, LOAD_SECONDS)
        else:
            add_connection_options(command, DEFAULT_TARGET)


def run_list(arguments: argparse.Namespace) -> int:
    """Print the versions and return 0. Raises SpyglassError."""
    with open_client(arguments) as client:
        models, known = client.models(), client.versions()
    rows = version_rows(models, known)
    if arguments.format == "json":
        print_json([row.to_dict() for row in rows])
        return 0
    headings = ("model", "state", "labels", "traffic", "task", "classes", "execution provider", "default")
    print_rows(headings, [_row(row) for row in rows])
    of_labels = [routing.problem for routing in known.routings if routing.problem]
    for problem in [*problems(known.versions), *of_labels]:
        print(problem)
    return 0


def run_show(arguments: argparse.Namespace) -> int:
    """Print the model and return 0. Raises SpyglassError."""
    with open_client(arguments) as client:
        try:
            details = client.model(arguments.model)
        except NotFound as error:
            raise _explained(error, arguments.model, client.versions()) from error
        rows = version_rows([details.served], client.versions())
    row = next(row for row in rows if row.served)
    if arguments.format == "json":
        card = json.loads(card_to_json(details.card))
        print_json({"card": card, "served": details.served.to_dict(), "status": row.to_dict()})
    else:
        print_rows(("name", "value"), _facts(details, row), headings=False)
        if details.served.profile:
            print_rows(_RUN_HEADINGS, _run_rows(details.served.profile))
    return 0


def run_drift(arguments: argparse.Namespace) -> int:
    """Print the drift and return 0. Raises SpyglassError, and FailedPrecondition without statistics."""
    with open_client(arguments) as client:
        details = client.model(arguments.model)
    name = f"{details.card.name}:{details.card.version}"
    if not details.card.HasField("baseline"):
        raise FailedPrecondition(
            f"the card of {name} has no baseline; `spyglass baseline` writes one", reason="NO_BASELINE"
        )
    if details.seen is None:
        raise FailedPrecondition(
            f"the server has no statistics of {name}: start it with --statistics, and send it images",
            reason="NO_STATISTICS",
        )
    baseline = Statistics.from_message(details.card.baseline)
    seen = Statistics.from_message(details.seen)
    found = drift(baseline, seen)
    if arguments.format == "json":
        print_json({"model": name, **drift_json(found, baseline, seen)})
        return 0
    print(f"{name}: {seen.images:,} images of late, against a baseline of {baseline.images:,}")
    print_rows(HEADINGS, drift_rows(found))
    for class_name, old, new in class_changes(baseline, seen, details.card.class_names):
        print(f"{class_name}: {old:.1%} of the baseline, {new:.1%} of late")
    return 0


def _explained(error: NotFound, model: str, known: ModelVersions) -> NotFound:
    """Add why the server refused the files of the version, or of the model, that it does not have."""
    ref = model_ref(model)
    refused = [
        status
        for status in known.versions
        if status.name == ref.name and status.version == (ref.version or status.version)
    ]
    return NotFound("; ".join([error.message, *problems(refused)]), reason=error.reason, field=error.field)


def _row(row: VersionRow) -> tuple[str, ...]:
    served = row.served
    labels, traffic = ", ".join(row.labels), ", ".join(map(share_text, row.traffic))
    known = (f"{row.name}:{row.version}", row.state, labels, traffic)
    if served is None:
        return (*known, "", "", "", "")
    default = "yes" if served.is_default else ""
    return (*known, served.task, str(served.class_count), _provider(served), default)


def _provider(model: ServedModel) -> str:
    threads = f"{model.workers} x {model.threads_per_worker} threads"
    return f"{model.provider}, {model.precision}, {threads}, batches to {model.max_batch}"


def _facts(details: ModelDetails, row: VersionRow) -> list[tuple[str, str]]:
    """Return (name, value) pairs, without the facts that the card does not have."""
    card, served = details.card, details.served
    certificate, origin = card.certificate, card.provenance
    facts = [
        ("model", f"{card.name}:{card.version}"),
        ("state", row.state),
        ("changed file", "; ".join(problems([row.status] if row.status else []))),
        ("labels", ", ".join(row.labels)),
        ("traffic", ", ".join(map(share_text, row.traffic))),
        ("task", served.task),
        ("description", card.description),
        ("classes", _classes(card.class_names)),
        ("scores", _SCORE_KINDS.get(card.score_kind, "")),
        ("input", f"{card.input.width} x {card.input.height} pixels"),
        ("explains", explanation(card) if card.explained_layer else ""),
        ("architecture", origin.architecture),
        ("parameters", f"{origin.parameters:,}" if origin.parameters else ""),
        ("training data", origin.training_data),
        ("licence", origin.licence),
        *((name.replace("_", " "), f"{value:g}") for name, value in sorted(origin.metrics.items())),
        ("certificate", f"{certificate.reference}, to {certificate.max_abs_diff:.1e}, {certificate.created}"),
        ("heatmap gradient", _gradient(certificate)),
        *reduced_facts(card),
        ("baseline", f"{card.baseline.images:,} images" if card.HasField("baseline") else ""),
        ("execution provider", _provider(served)),
        ("profile", _profile(served.profile)),
        ("sha256", served.sha256),
    ]
    return [(name, value) for name, value in facts if value]


def _profile(profile: Profile | None) -> str:
    if not profile:
        return "not measured yet"
    return (
        f"{profile.image_seconds * 1000:.3g} ms an image; busy: batches to {profile.max_batch}; "
        f"a lone request: threads to {profile.wide_threads}; measured {profile.measured}"
    )


def _run_rows(profile: Profile) -> list[tuple[str, ...]]:
    return [
        (
            str(run.batch),
            str(run.threads),
            str(run.at_once),
            f"{run.seconds * 1000:.3f}",
            f"{run.images_per_second:.1f}",
        )
        for run in profile.runs
    ]


def _gradient(certificate: Certificate) -> str:
    if not certificate.HasField("gradient_error"):
        return ""
    return f"agrees with finite differences to {certificate.gradient_error:.0e}"


def _classes(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_SHOWN_CLASSES])
    return f"{len(names)}: {shown}, ..." if len(names) > _SHOWN_CLASSES else f"{len(names)}: {shown}"
