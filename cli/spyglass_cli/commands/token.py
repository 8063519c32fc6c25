"""`spyglass token`: the tokens and client certificates that a server accepts."""

from __future__ import annotations

import argparse
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from spyglass_cli.flags.extras import require
from spyglass_cli.flags.types import duration, non_negative_integer, non_negative_number
from spyglass_contract.errors import InvalidInput

if TYPE_CHECKING:
    from spyglass_server.access.entries import Entry

_SCOPES = (
    "classify, segment or heatmap allow a task; model:GLOB allows the models whose name matches, such as "
    "model:team-*; admin allows changes of the server; a request needs its task and its model"
)


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command with `new`, `list` and `revoke`."""
    parser = subparsers.add_parser("token", help="make, list and revoke the tokens of a server")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", dest="token_command")
    new = commands.add_parser(
        "new",
        help="make a token and print it",
        description="Add a token to the file of --tokens of a server, and print it. Only its hash is kept: "
        "it is never shown again. A running server sees the change within 2 seconds.",
    )
    new.set_defaults(func=run_new)
    new.add_argument("--name", required=True, help="name of the caller, for the log and metrics")
    new.add_argument(
        "--scope",
        action="append",
        default=[],
        metavar="SCOPE",
        help=f"scope of the caller: {_SCOPES}; repeat the flag for more",
    )
    new.add_argument(
        "--expires",
        type=duration,
        metavar="TIME",
        help="time after which the token is not accepted any more, such as 90d, 12h or 30m (default: never)",
    )
    new.add_argument(
        "--certificate",
        metavar="NAME",
        help="accept the client certificate with this common name, DNS name or URI; no token is made",
    )
    _add_limits(new)
    listing = commands.add_parser("list", help="list the tokens of a file")
    listing.set_defaults(func=run_list)
    revoking = commands.add_parser(
        "revoke",
        help="revoke a token",
        description="Revoke one token by its id, or every token of a name. A running server sees the change "
        "within 2 seconds, and ends the streams of the token.",
    )
    revoking.set_defaults(func=run_revoke)
    revoking.add_argument("token", metavar="ID|NAME", help="the id of a token, or the name of a caller")
    for command in (new, listing, revoking):
        command.add_argument("file", type=Path, metavar="FILE", help="the file of tokens")


def _add_limits(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("limits", "By default those of the server's settings; 0 is no limit.")
    for name, kind, metavar, text in (
        ("requests-per-second", non_negative_number, "X", "requests a second"),
        ("megapixels-per-second", non_negative_number, "X", "megapixels of images a second"),
        ("concurrent-calls", non_negative_integer, "N", "calls with one request at the same time"),
        ("streams", non_negative_integer, "N", "streaming calls at the same time"),
    ):
        group.add_argument(
            f"--{name}", type=kind, metavar=metavar, dest=name.replace("-", "_"), help=f"{text} of the caller"
        )


def run_new(arguments: argparse.Namespace) -> int:
    """Add an entry, print its token and return 0. Raises InvalidInput and TokenFileError."""
    require("server", "pydantic")
    from pydantic import ValidationError

    from spyglass_server.access.entries import CallerLimits, Entry
    from spyglass_server.access.token_file import add_entry
    from spyglass_server.access.tokens import hash_of, new_token

    token, token_id = new_token()
    now = datetime.now(UTC).replace(microsecond=0)
    limits = {name: getattr(arguments, name) for name in CallerLimits.model_fields}
    try:
        entry = Entry(
            id=token_id,
            name=arguments.name,
            sha256=None if arguments.certificate is not None else hash_of(token),
            certificate=arguments.certificate,
            scopes=tuple(arguments.scope),
            created=now,
            expires=None if arguments.expires is None else now + timedelta(seconds=arguments.expires),
            limits=CallerLimits(**{name: value for name, value in limits.items() if value is not None}),
        )
    except ValidationError as error:
        raise InvalidInput(_problem(error.errors()[0])) from None
    except OverflowError:
        raise InvalidInput("--expires must end before the year 10000") from None
    add_entry(arguments.file, entry)
    print(f"accepted: {entry.certificate}" if entry.certificate else token)
    print(f"{entry.name}: id {entry.id}, {_end(entry)}", file=sys.stderr)
    return 0


def run_list(arguments: argparse.Namespace) -> int:
    """Print the entries of a file and return 0. Raises TokenFileError."""
    require("server", "pydantic")
    from spyglass_cli.output.tables import Column, add_row, make_table, print_table
    from spyglass_server.access.entries import read_entries

    columns = ("id", "name", "kind", "scopes", "limits", "created", "state")
    table = make_table([Column(name) for name in columns])
    for entry in read_entries(arguments.file):
        limits = entry.limits.model_dump(exclude_none=True)
        cells = (
            entry.id,
            entry.name,
            f"certificate {entry.certificate}" if entry.certificate else "token",
            " ".join(entry.scopes),
            ", ".join(f"{name.replace('_', ' ')} {value:g}" for name, value in limits.items()),
            f"{entry.created:%Y-%m-%d}",
            _end(entry),
        )
        add_row(table, cells)
    print_table(table, sys.stdout)
    return 0


def run_revoke(arguments: argparse.Namespace) -> int:
    """Revoke entries, print them and return 0. Raises InvalidInput and TokenFileError."""
    require("server", "pydantic")
    from spyglass_server.access.token_file import revoke_entries

    for entry in revoke_entries(arguments.file, arguments.token):
        print(f"revoked: {entry.name}, id {entry.id}")
    return 0


def _end(entry: Entry) -> str:
    if entry.revoked:
        return f"revoked {entry.revoked:%Y-%m-%d}"
    if entry.expires is None:
        return "never expires"
    verb = "expired" if entry.expires <= datetime.now(UTC) else "expires"
    return f"{verb} {entry.expires:%Y-%m-%d %H:%M} UTC"


def _problem(problem: object) -> str:
    """Return a message for the first problem of an entry that flags describe."""
    assert isinstance(problem, dict)
    place = str(problem["loc"][0]) if problem["loc"] else ""
    if place == "name":
        return "--name must be 1 to 64 letters, digits and . _ @ / -, with a letter or digit first"
    if place:
        return f"--{place}: {problem['msg']}"
    return f"--scope: {str(problem['msg']).removeprefix('Value error, ')}"
