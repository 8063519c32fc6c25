"""One flag for each setting of the server, with its description as the help text."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings

from spyglass_server.engine.models.stores.url import StoreUrl
from spyglass_server.setting_values import plain_type

_EPILOG = (
    "Each setting can also come from the environment, such as SPYGLASS_MAX_BATCH for --max-batch, or from "
    "the YAML file of --config. Flags override the environment, and the environment overrides the file."
)


def read_flags(settings: type[BaseSettings], arguments: Sequence[str], program: str) -> dict[str, Any]:
    """Return the given values by the names of settings: a text each, or a list of texts.

    Prints the usage and exits with 2, as argparse does, for an unknown flag and for one that is given twice.
    """
    parser = argparse.ArgumentParser(
        prog=program,
        usage="%(prog)s [FLAG [VALUE] ...]",
        description="Serve models over gRPC until SIGTERM or SIGINT.",
        epilog=_EPILOG,
        argument_default=argparse.SUPPRESS,
        # With abbreviations, a new setting would break the command lines of others.
        allow_abbrev=False,
    )
    groups: dict[type, argparse._ArgumentGroup] = {}
    for name, field in settings.model_fields.items():
        origin = _origin(settings, name)
        if origin not in groups:
            groups[origin] = parser.add_argument_group(_title(origin, settings))
        repeated = get_origin(field.annotation) is list
        # A flag of true or false alone means true.
        optional: dict[str, Any] = {"nargs": "?", "const": "true"} if plain_type(field) is bool else {}
        groups[origin].add_argument(
            flag(name),
            dest=name,
            action="append" if repeated else _Once,
            **optional,
            metavar=_metavar(name, field),
            help=_help(field) + ("; repeat the flag for more" if repeated else ""),
        )
    return vars(parser.parse_args(arguments))


def _origin(settings: type[BaseSettings], name: str) -> type:
    """Return the class that declares a setting."""
    bases = (base for base in reversed(settings.__mro__) if issubclass(base, BaseSettings))
    return next(base for base in bases if name in base.model_fields)


def _title(group: type, settings: type[BaseSettings]) -> str:
    """Return the title of a group of settings: its docstring without the full stop."""
    return "settings" if group is settings else (group.__doc__ or "").rstrip(".")


def flag(name: str) -> str:
    """Return the flag of a setting."""
    return f"--{name.replace('_', '-')}"


class _Once(argparse.Action):
    """Store a value, and reject a second one: the caller would not know which of them counts."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        if hasattr(namespace, self.dest):
            parser.error(f"argument {option_string}: it is given twice")
        setattr(namespace, self.dest, values)


def _metavar(name: str, field: FieldInfo) -> str:
    """Return the choices, N for a whole number, X for another number, PATH, or the last word of the name."""
    kind = plain_type(field)
    if get_origin(kind) is Literal:
        return f"{{{','.join(map(str, get_args(kind)))}}}"
    known = {int: "N", float: "X", Path: "PATH", list[Path | StoreUrl]: "PATH", bool: "{true,false}"}
    return known.get(kind) or name.rpartition("_")[2].upper()


def _help(field: FieldInfo) -> str:
    """Return the description, with the default unless it is None or made by a function."""
    description = (field.description or "").rstrip(".").replace("%", "%%")
    if description[1:2].islower():
        description = description[0].lower() + description[1:]
    if field.default_factory is not None or field.default in (None, []):
        return description
    defaults = field.default if isinstance(field.default, list) else [field.default]
    return f"{description} (default: {', '.join(map(str, defaults))})"
