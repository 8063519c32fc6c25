"""The messages of .proto files as JSON schemas, with their comments; `openapi.py` uses it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor

SCHEMAS = "#/components/schemas/"

_INTEGERS = ("uint32", "int32")
_SIXTY_FOUR = ("uint64", "int64")
_NAMES_OF_TYPES = {
    getattr(FieldDescriptor, f"TYPE_{name.upper()}"): name
    for name in ("double", "float", "int64", "uint64", "int32", "uint32", "bool", "string", "bytes")
}
# Messages whose JSON form is not their fields.
_DURATION = {
    "type": "string",
    "pattern": r"^-?[0-9]+(\.[0-9]+)?s$",
    "description": "Seconds, such as 1.5s.",
}
_STATUS = {"type": "object", "description": "google.rpc.Status."}


class Comments:
    """The comments of messages, fields, enums, values and methods, by their full names."""

    def __init__(self, folder: Path) -> None:
        self._texts: dict[str, str] = {}
        for path in sorted(folder.glob("*.proto")):
            self._read(path.read_text())

    def of(self, name: str) -> str:
        """Return the comment before a declaration, as one line; empty: there is none."""
        return self._texts.get(name, "")

    def _read(self, text: str) -> None:
        package = re.search(r"^package (.+);", text, re.MULTILINE)
        assert package
        inside, comment = [package[1]], []
        for line in map(str.strip, text.splitlines()):
            if line.startswith("//"):
                comment.append(line.removeprefix("//").strip())
                continue
            opened = re.match(r"(message|enum|service|oneof) (\w+) \{", line)
            declared = re.match(r"(?:rpc )?(?:repeated |optional )?(?:[\w.<>, ]+ )?(\w+)(?: = \d|\()", line)
            if opened:
                # A oneof is no part of the names of its fields.
                inside.append("" if opened[1] == "oneof" else opened[2])
                self._keep(inside, comment)
                if line.endswith("}"):
                    inside.pop()
            elif declared:
                self._keep([*inside, declared[1]], comment)
            elif line == "}":
                inside.pop()
            comment = []

    def _keep(self, names: list[str], comment: list[str]) -> None:
        if comment:
            self._texts[".".join(filter(None, names))] = " ".join(filter(None, comment))


class Schemas:
    """The JSON schemas of messages, collected as they are needed."""

    def __init__(self, comments: Comments, *, plain: bool = False) -> None:
        """`plain`: the JSON of the Open Inference Protocol, with names as in the proto, and all numbers."""
        self._comments = comments
        self._plain = plain
        self.found: dict[str, Any] = {}

    def reference(self, descriptor: Descriptor) -> dict[str, Any]:
        """Return a reference to the schema of a message."""
        if descriptor.full_name == "google.protobuf.Duration":
            return _DURATION
        if descriptor.full_name == "google.rpc.Status":
            return _STATUS
        name = descriptor.full_name.removeprefix("spyglass.v1.")
        if name not in self.found:
            self.found[name] = {}
            self.found[name] = self._message(descriptor)
        return {"$ref": f"{SCHEMAS}{name}"}

    def field(self, field: FieldDescriptor) -> dict[str, Any]:
        """Return the schema of the values of a field, with its comment."""
        found = self._values(field)
        comment = self._comments.of(field.full_name)
        return {**found, "description": comment} if comment else found

    def _message(self, descriptor: Descriptor) -> dict[str, Any]:
        return {
            "type": "object",
            "description": self._comments.of(descriptor.full_name),
            "properties": {
                field.name if self._plain else field.json_name: self.field(field)
                for field in descriptor.fields
            },
            "additionalProperties": False,
        }

    def _values(self, field: FieldDescriptor) -> dict[str, Any]:
        message = field.message_type
        if message is not None and message.GetOptions().map_entry:
            return {"type": "object", "additionalProperties": self._one(message.fields_by_name["value"])}
        one = self._one(field)
        return {"type": "array", "items": one} if field.is_repeated else one

    def _one(self, field: FieldDescriptor) -> dict[str, Any]:
        if field.message_type is not None:
            return self.reference(field.message_type)
        if field.enum_type is not None:
            return self._enum(field.enum_type)
        kind = _NAMES_OF_TYPES[field.type]
        if kind in _INTEGERS or (self._plain and kind in _SIXTY_FOUR):
            return {"type": "integer", "format": kind}
        if kind in _SIXTY_FOUR:
            # JSON has no 64-bit numbers.
            return {"type": "string", "format": kind, "pattern": "^-?[0-9]+$"}
        if kind in ("float", "double"):
            return {"type": "number", "format": kind}
        if kind == "bool":
            return {"type": "boolean"}
        if kind == "bytes":
            return {"type": "string", "format": "byte", "contentEncoding": "base64"}
        return {"type": "string"}

    def _enum(self, enum: EnumDescriptor) -> dict[str, Any]:
        name = enum.full_name.removeprefix("spyglass.v1.")
        if name not in self.found:
            lines = [self._comments.of(enum.full_name)]
            for value in enum.values:
                comment = self._comments.of(f"{enum.full_name}.{value.name}")
                lines.append(f"- `{value.name}`: {comment}" if comment else f"- `{value.name}`")
            self.found[name] = {
                "type": "string",
                "enum": [value.name for value in enum.values],
                "description": "\n".join(filter(None, lines)),
            }
        return {"$ref": f"{SCHEMAS}{name}"}
