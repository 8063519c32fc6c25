"""Write server/spyglass_server/http/openapi.json from the messages and the comments of the .proto files.

`python tools/openapi.py` writes the document. With `--check` it fails if the document is stale.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
from google.protobuf.message import Message

from spyglass.v1 import classify_pb2, heatmap_pb2, model_pb2, segment_pb2

DOCUMENT = Path("server/spyglass_server/http/openapi.json")
PROTOS = Path("protos/spyglass/v1")
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

IMAGE_TYPES = ("image/jpeg", "image/png", "image/webp", "image/bmp", "image/gif", "image/tiff")
# Endpoint, request, response, whether it has a drawing, and what it does.
IMAGES: tuple[tuple[str, type[Message], type[Message], bool], ...] = (
    ("classify", classify_pb2.ClassifyRequest, classify_pb2.ClassifyResponse, False),
    ("heatmap", heatmap_pb2.HeatmapRequest, heatmap_pb2.HeatmapResponse, True),
    ("segment", segment_pb2.SegmentRequest, segment_pb2.SegmentResponse, True),
)
_TIMEOUT = {
    "name": "x-request-timeout",
    "in": "header",
    "description": "Seconds that the caller waits for the response; then the server drops the request.",
    "schema": {"type": "number", "exclusiveMinimum": 0},
}
_PRIORITY = {
    "name": "x-priority",
    "in": "header",
    "description": "bulk lets the requests of others go first.",
    "schema": {"type": "string", "enum": ["bulk"]},
}


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

    def __init__(self, comments: Comments) -> None:
        self._comments = comments
        self.found: dict[str, Any] = {}

    def reference(self, descriptor: Descriptor) -> dict[str, Any]:
        """Return a reference to the schema of a message."""
        if descriptor.full_name == "google.protobuf.Duration":
            return _DURATION
        if descriptor.full_name == "google.rpc.Status":
            return _STATUS
        if descriptor.name not in self.found:
            self.found[descriptor.name] = {}
            self.found[descriptor.name] = self._message(descriptor)
        return {"$ref": f"{SCHEMAS}{descriptor.name}"}

    def field(self, field: FieldDescriptor) -> dict[str, Any]:
        """Return the schema of the values of a field, with its comment."""
        found = self._values(field)
        comment = self._comments.of(field.full_name)
        return {**found, "description": comment} if comment else found

    def _message(self, descriptor: Descriptor) -> dict[str, Any]:
        return {
            "type": "object",
            "description": self._comments.of(descriptor.full_name),
            "properties": {field.json_name: self.field(field) for field in descriptor.fields},
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
        if kind in _INTEGERS:
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
        if enum.name not in self.found:
            lines = [self._comments.of(enum.full_name)]
            for value in enum.values:
                comment = self._comments.of(f"{enum.full_name}.{value.name}")
                lines.append(f"- `{value.name}`: {comment}" if comment else f"- `{value.name}`")
            self.found[enum.name] = {
                "type": "string",
                "enum": [value.name for value in enum.values],
                "description": "\n".join(filter(None, lines)),
            }
        return {"$ref": f"{SCHEMAS}{enum.name}"}


def document(folder: Path = PROTOS) -> dict[str, Any]:
    """Return the OpenAPI document."""
    comments = Comments(folder)
    schemas = Schemas(comments)
    paths: dict[str, Any] = {}
    for name, request, response, draws in IMAGES:
        method = f"spyglass.v1.Vision.{name.title()}"
        paths[f"/v1/{name}"] = {
            "post": {
                "operationId": name,
                "summary": comments.of(method),
                "parameters": [*_query(schemas, request.DESCRIPTOR), _TIMEOUT, _PRIORITY],
                "requestBody": _body(schemas, request.DESCRIPTOR),
                "responses": _responses(schemas, response.DESCRIPTOR, png=draws),
            }
        }
    paths["/v1/models"] = _get(
        "listModels", comments.of("spyglass.v1.Vision.ListModels"), schemas, model_pb2.ListModelsResponse
    )
    paths["/v1/models/{model}"] = _get(
        "getModel",
        comments.of("spyglass.v1.Vision.GetModel"),
        schemas,
        model_pb2.GetModelResponse,
        [
            {
                "name": "model",
                "in": "path",
                "required": True,
                "description": "NAME, NAME:VERSION or NAME@LABEL.",
                "schema": {"type": "string"},
            },
            *_query(schemas, model_pb2.GetModelRequest.DESCRIPTOR),
        ],
    )
    paths["/healthz"] = _check("Whether the server works.")
    paths["/readyz"] = _check("Whether the server accepts requests.")
    schemas.found["Problem"] = _PROBLEM
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Spyglass",
            "version": "v1",
            "description": "Image models: their predictions, the reasons for them, and the models "
            "themselves. The JSON is the JSON form of the messages of spyglass.v1: names in camelCase, "
            "64-bit numbers as texts, bytes in base64, and fields that are 0 or empty in responses, too.",
        },
        "paths": paths,
        "components": {
            "schemas": dict(sorted(schemas.found.items())),
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{}, {"token": []}],
    }


_PROBLEM = {
    "type": "object",
    "description": "Problem details (RFC 9457).",
    "required": ["type", "title", "status", "detail", "code", "reason", "requestId"],
    "properties": {
        "type": {"type": "string", "description": "about:blank: `reason` tells the kinds apart."},
        "title": {"type": "string", "description": "The name of the HTTP status."},
        "status": {"type": "integer", "description": "The HTTP status."},
        "detail": {"type": "string", "description": "The cause, for people."},
        "code": {"type": "string", "description": "The name of the gRPC status code."},
        "reason": {"type": "string", "description": "The kind, for programs; docs/errors.md lists all."},
        "requestId": {"type": "string", "description": "The id of the request in the server's log."},
        "field": {"type": "string", "description": "The part of the request that is at fault."},
        "retryAfterSeconds": {"type": "number", "description": "When a retry may help."},
    },
    "additionalProperties": False,
}


def _query(schemas: Schemas, descriptor: Descriptor) -> Iterator[dict[str, Any]]:
    for field in descriptor.fields:
        if field.name in ("image", "index") or (
            descriptor.name == "GetModelRequest" and field.name == "model"
        ):
            continue
        found = schemas.field(field)
        parameter: dict[str, Any] = {"name": field.name, "in": "query"}
        parameter["description"] = found.get("description", "")
        if field.name == "model":
            parameter["description"] += " Written as NAME, NAME:VERSION or NAME@LABEL."
            parameter["schema"] = {"type": "string"}
        elif field.message_type is not None and field.message_type.name == "Duration":
            parameter["description"] += " In seconds."
            parameter["schema"] = {"type": "number"}
        elif field.message_type is not None:
            schema = {key: value for key, value in found.items() if key != "description"}
            parameter["content"] = {"application/json": {"schema": schema}}
        else:
            schema = {key: value for key, value in found.items() if key != "description"}
            parameter["schema"] = schema
        yield parameter


def _body(schemas: Schemas, request: Descriptor) -> dict[str, Any]:
    file: dict[str, Any] = {"schema": {"type": "string", "format": "binary"}}
    form = {
        "type": "object",
        "required": ["image"],
        "properties": {"image": {"type": "string", "format": "binary"}},
        "description": "The image, and any of the query's parameters as fields.",
        "additionalProperties": {"type": "string"},
    }
    return {
        "required": True,
        "description": "The file of an image, a form with it, or the request as JSON.",
        "content": {
            **{kind: file for kind in (*IMAGE_TYPES, "application/octet-stream")},
            "multipart/form-data": {"schema": form},
            "application/json": {"schema": schemas.reference(request)},
        },
    }


def _responses(schemas: Schemas, response: Descriptor, *, png: bool) -> dict[str, Any]:
    content: dict[str, Any] = {"application/json": {"schema": schemas.reference(response)}}
    if png:
        content["image/png"] = {"schema": {"type": "string", "format": "binary"}}
    problem = {"application/problem+json": {"schema": {"$ref": f"{SCHEMAS}Problem"}}}
    return {
        "200": {"description": "The response.", "content": content},
        "default": {"description": "The request failed.", "content": problem},
    }


def _get(
    operation: str,
    summary: str,
    schemas: Schemas,
    response: type[Message],
    parameters: list[dict[str, Any]] | None = None,
) -> dict[str, Any]:
    return {
        "get": {
            "operationId": operation,
            "summary": summary,
            "parameters": parameters or [],
            "responses": _responses(schemas, response.DESCRIPTOR, png=False),
        }
    }


def _check(summary: str) -> dict[str, Any]:
    text = {"text/plain": {"schema": {"type": "string"}}}
    return {
        "get": {
            "summary": summary,
            "responses": {
                "200": {"description": "Yes.", "content": text},
                "503": {"description": "No, and why.", "content": text},
            },
        }
    }


def main(arguments: list[str]) -> int:
    """Write or check the document; return the exit code."""
    text = json.dumps(document(), indent=1) + "\n"
    if "--check" in arguments:
        if DOCUMENT.read_text() == text:
            return 0
        print(f"stale: {DOCUMENT}; run `python tools/openapi.py` and commit it")
        return 1
    DOCUMENT.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
