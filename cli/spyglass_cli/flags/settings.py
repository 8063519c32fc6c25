"""One flag for each setting of the server, with its description as the help text."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo
    from pydantic_settings import BaseSettings


def add_setting_flags(parser: argparse.ArgumentParser, settings: type[BaseSettings]) -> None:
    """Add the flags, without types: pydantic validates the values."""
    for name, field in settings.model_fields.items():
        choices = get_args(field.annotation) if get_origin(field.annotation) is Literal else None
        parser.add_argument(
            f"--{name.replace('_', '-')}",
            choices=choices,
            metavar=None if choices else _metavar(name, field.annotation),
            help=_help(field),
        )


def _metavar(name: str, annotation: Any) -> str:
    """Return N for a whole number, X for another number, PATH, or the last word of the name."""
    known = {int: "N", float: "X", Path: "PATH", Path | None: "PATH"}
    return known.get(annotation) or name.rpartition("_")[2].upper()


def _help(field: FieldInfo) -> str:
    """Return the description, with the default unless it is None or made by a function."""
    description = (field.description or "").rstrip(".").replace("%", "%%")
    if field.default_factory is not None or field.default is None:
        return description
    defaults = field.default if isinstance(field.default, list) else [field.default]
    return f"{description} (default: {', '.join(map(str, defaults))})"
