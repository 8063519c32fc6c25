"""`spyglass models load`, `unload`, `label`, `traffic`, `rollback` and `reload`."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from spyglass_cli import process
from spyglass_cli.flags.connection import open_client
from spyglass_cli.flags.types import percent, positive_integer, version_or_label
from spyglass_cli.output.printing import print_json, print_rows
from spyglass_cli.output.version_rows import (
    ROUTING_HEADINGS,
    STATUS_HEADINGS,
    problems,
    routing_rows,
    status_rows,
)
from spyglass_client import (
    Admin,
    DeadlineExceeded,
    InvalidInput,
    Routing,
    VersionStatus,
    parse_addresses,
)

LOAD_SECONDS = 600.0
"""How long a command waits for a model by default: as long as the largest take to load."""

_ADMIN = "The server must run with --admin; if it asks for tokens, the token needs the scope admin."

Run = Callable[[argparse.Namespace], int]
Added = Callable[..., argparse.ArgumentParser]


def add_changes(add: Added) -> list[argparse.ArgumentParser]:
    """Add the commands with `add(NAME, RUN, help=…, description=…)`; return those that wait for a load."""
    loading = add(
        "load",
        run_load,
        help="load a version, and wait until it serves",
        description="Load a version, also one that failed or was unloaded, and wait until it serves. "
        f"{_ADMIN}",
    )
    loading.add_argument(
        "model", metavar="NAME[:VERSION]", help="the version to load (default: the highest in the repository)"
    )
    unloading = add(
        "unload",
        run_unload,
        help="end a version or a model",
        description="End a version or all versions of a model. Requests in progress are finished. The "
        f"version stays away until it is loaded again or the server restarts. {_ADMIN}",
    )
    unloading.add_argument(
        "model", metavar="NAME[:VERSION]", help="the version to end (default: all versions of the model)"
    )
    labelling = _add_label(add)
    _add_traffic(add)
    rolling = add(
        "rollback",
        run_rollback,
        help="give a label back to its previous version",
        description="Give a label back to the version that it had before, and remove all traffic shares of "
        f"the model. {_ADMIN}",
    )
    rolling.add_argument("name", metavar="NAME", help="name of the model")
    rolling.add_argument("--label", default="stable", help="label to give back (default: %(default)s)")
    reloading = add(
        "reload",
        run_reload,
        help="look for new, changed and deleted versions",
        description="Let the server look at its repository now, and wait until all changes are made. "
        f"{_ADMIN}",
        epilog="exit code: 0, 1 if the server refused the file of any version, 2 for invalid usage",
    )
    return [loading, labelling, reloading]


def _add_label(add: Added) -> argparse.ArgumentParser:
    parser = add(
        "label",
        run_label,
        help="give a label to a version, or remove it",
        description="Give a label, such as stable or canary, to a version. A version that does not serve is "
        f"loaded first. Requests without a version get the version with the label stable. {_ADMIN}",
    )
    parser.add_argument("name", metavar="NAME", help="name of the model")
    parser.add_argument("label", metavar="LABEL", help="the label")
    parser.add_argument(
        "version", nargs="?", type=positive_integer, metavar="VERSION", help="the version that gets the label"
    )
    parser.add_argument(
        "--remove", action="store_true", help="remove the label, and the traffic shares from it and to it"
    )
    return parser


def _add_traffic(add: Added) -> None:
    parser = add(
        "traffic",
        run_traffic,
        help="send a part of the requests to another version",
        description="Send a part of the requests for one label or version to another one. The share replaces "
        f"the one with the same FROM; 0 percent removes it. {_ADMIN}",
    )
    parser.add_argument("name", metavar="NAME", help="name of the model")
    for name, text in (("source", "FROM"), ("target", "TO")):
        parser.add_argument(
            name, nargs="?", type=version_or_label, metavar=text, help="label or version, such as stable or 3"
        )
    parser.add_argument(
        "percent", nargs="?", type=percent, metavar="PERCENT", help="part of the requests, such as 10 or 10%%"
    )
    parser.add_argument(
        "--sticky",
        choices=("request", "caller"),
        default="request",
        help="what stays together: requests with the same id, or those of a caller (default: %(default)s)",
    )
    parser.add_argument("--clear", action="store_true", help="remove all traffic shares of the model")


def run_load(arguments: argparse.Namespace) -> int:
    """Load a version, print its state and return 0. Raises SpyglassError."""
    with _admin(arguments) as admin:
        status = admin.load(arguments.model)
    _print_statuses(arguments, [status])
    return 0


def run_unload(arguments: argparse.Namespace) -> int:
    """End versions, print their states and return 0. Raises SpyglassError."""
    with _admin(arguments) as admin:
        statuses = admin.unload(arguments.model)
    _print_statuses(arguments, statuses)
    return 0


def run_label(arguments: argparse.Namespace) -> int:
    """Set or remove a label, print the labels and return 0. Raises SpyglassError."""
    if arguments.remove == (arguments.version is not None):
        raise InvalidInput("label needs either VERSION or --remove: label digits stable 2")
    with _admin(arguments) as admin:
        if arguments.remove:
            routing = admin.remove_label(arguments.name, arguments.label)
        else:
            routing = admin.set_label(arguments.name, arguments.label, arguments.version)
    _print_routing(arguments, routing)
    return 0


def run_traffic(arguments: argparse.Namespace) -> int:
    """Set or remove shares, print the labels and shares, and return 0. Raises SpyglassError."""
    share = (arguments.source, arguments.target, arguments.percent)
    if arguments.clear != (share == (None, None, None)) or (not arguments.clear and None in share):
        raise InvalidInput("traffic needs either FROM, TO and PERCENT, such as stable canary 10, or --clear")
    with _admin(arguments) as admin:
        if arguments.clear:
            routing = admin.clear_traffic(arguments.name)
        else:
            routing = admin.set_traffic(arguments.name, *share, sticky=arguments.sticky)
    _print_routing(arguments, routing)
    return 0


def run_rollback(arguments: argparse.Namespace) -> int:
    """Give a label back to its previous version, print the labels and return 0. Raises SpyglassError."""
    with _admin(arguments) as admin:
        routing = admin.rollback(arguments.name, label=arguments.label)
    _print_routing(arguments, routing)
    return 0


def run_reload(arguments: argparse.Namespace) -> int:
    """Print the states after a reload; return 1 if any file was refused, else 0. Raises SpyglassError."""
    with _admin(arguments) as admin:
        statuses = admin.reload()
    _print_statuses(arguments, statuses)
    return process.FAILED if problems(statuses) else 0


@contextmanager
def _admin(arguments: argparse.Namespace) -> Iterator[Admin]:
    if (count := len(parse_addresses(arguments.server))) > 1:
        raise InvalidInput(
            f"a change is for one server: give one address, not {count}; for several servers run the command "
            "for each",
            field="server",
        )
    with open_client(arguments) as client:
        try:
            yield client.admin
        except DeadlineExceeded as error:
            raise DeadlineExceeded(
                f"{error.message}; the server goes on, and `spyglass models list` shows the state"
            ) from error


def _print_statuses(arguments: argparse.Namespace, statuses: Sequence[VersionStatus]) -> None:
    if arguments.format == "json":
        print_json([status.to_dict() for status in statuses])
        return
    print_rows(STATUS_HEADINGS, status_rows(statuses))
    for problem in problems(statuses):
        print(problem)


def _print_routing(arguments: argparse.Namespace, routing: Routing) -> None:
    if arguments.format == "json":
        print_json(routing.to_dict())
    elif rows := routing_rows(routing):
        print_rows(ROUTING_HEADINGS, rows)
    else:
        print(f"{routing.name} has no labels and no traffic shares")
