"""Texts of a query or a form as the fields of a message."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from google.protobuf import json_format
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from spyglass_contract.errors import InvalidInput
from spyglass_contract.model.names import model_ref

# Fields that are not texts of a query: the image is the body.
_OTHERS = ("image", "index")
_MAX_QUOTED = 100
_BOOLS = {"true": True, "1": True, "false": False, "0": False}


def fill(message: Message, texts: Iterable[tuple[str, str]]) -> None:
    """Set fields of a request by their names, such as `top_k` and `topK`.

    `model` is NAME, NAME:VERSION or NAME@LABEL. A value of an enum is written as in the proto, or shortly:
    `png_overlay`. A time is a number of seconds. Other messages, such as `further`, are JSON. Raises
    InvalidInput.
    """
    fields = {name: field for field in message.DESCRIPTOR.fields for name in (field.name, field.json_name)}
    values: dict[str, Any] = {}
    for name, text in texts:
        field = fields.get(name)
        if field is None or field.name in _OTHERS:
            known = ", ".join(field.name for field in message.DESCRIPTOR.fields if field.name not in _OTHERS)
            raise InvalidInput(
                f"there is no field {name[:_MAX_QUOTED]!r}; expected {known}",
                reason="FIELD_UNKNOWN",
                field="query",
            )
        if field.name in values:
            raise InvalidInput(f"{field.name} is given twice", reason="FIELD_INVALID", field=field.name)
        if field.name == "model":
            message.model.CopyFrom(model_ref(text))  # type: ignore[attr-defined]
        values[field.name] = _value(field, text)
    values.pop("model", None)
    for name, value in values.items():
        parse_dict({name: value}, message, name)


def parse_dict(values: dict[str, Any], message: Message, source: str) -> None:
    """Set fields of a message from the values of its JSON form, from the `body` or of one field.

    Raises InvalidInput.
    """
    described = f"the JSON form of {message.DESCRIPTOR.name}" if source == "body" else source
    try:
        json_format.ParseDict(values, message)
    except (json_format.ParseError, ValueError, TypeError, RecursionError) as error:
        raise InvalidInput(
            f"{described} is invalid: {str(error)[:200]}",
            reason="JSON_INVALID" if source == "body" else "FIELD_INVALID",
            field=source,
        ) from None


def _value(field: Any, text: str) -> object:
    if field.enum_type is not None:
        return _enum(field, text)
    if field.type == FieldDescriptor.TYPE_BOOL:
        return _BOOLS.get(text.lower(), text)
    if field.message_type is None:
        return text
    if field.message_type.full_name == "google.protobuf.Duration":
        return f"{text.removesuffix('s')}s"
    if field.name == "model":
        return text
    return _json(field, text)


def _enum(field: Any, text: str) -> str:
    names: list[str] = [value.name for value in field.enum_type.values]
    prefix = names[0].removesuffix("UNSPECIFIED")
    for name in names[1:]:
        if text.upper() in (name, name.removeprefix(prefix)):
            return name
    expected = ", ".join(name.removeprefix(prefix).lower() for name in names[1:])
    raise InvalidInput(
        f"{field.name} must be {expected}, not {text[:_MAX_QUOTED]!r}",
        reason="FIELD_INVALID",
        field=field.name,
    )


def _json(field: Any, text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise InvalidInput(
            f"{field.name} must be JSON, not {text[:_MAX_QUOTED]!r}", reason="FIELD_INVALID", field=field.name
        ) from None
