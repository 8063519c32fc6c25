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

from spyglass.inference import v2_pb2
from spyglass.v1 import classify_pb2, heatmap_pb2, model_pb2, segment_pb2

DOCUMENT = Path("server/spyglass_server/http/openapi.json")
PROTOS = Path("protos/spyglass/v1")
INFERENCE = Path("protos/spyglass/inference")
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
    tensors = Schemas(Comments(INFERENCE), plain=True)
    paths |= inference_paths(tensors)
    schemas.found |= tensors.found
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


_ERROR = {
    "type": "object",
    "description": "Why a request of the Open Inference Protocol failed: the members of Problem, too.",
    "required": ["error"],
    "properties": {"error": {"type": "string", "description": "The cause, for people."}},
}
_PARAMETERS = {
    "type": "object",
    "description": "Parameters by name.",
    "additionalProperties": {"type": ["boolean", "integer", "number", "string"]},
}
_TENSOR = {
    "type": "object",
    "description": "A tensor. Its elements are in `data`, or after the JSON: then the parameter "
    "`binary_data_size` has their number of bytes.",
    "required": ["name", "datatype", "shape"],
    "properties": {
        "name": {"type": "string", "description": "The name of the tensor."},
        "datatype": {"type": "string", "description": "The type of its elements, such as UINT8 or BYTES."},
        "shape": {
            "type": "array",
            "items": {"type": "integer", "minimum": 0},
            "description": "Its shape, with the batch.",
        },
        "data": {
            "type": "array",
            "items": {},
            "description": "The elements, nested or row-major; those of BYTES inputs in base64.",
        },
        "parameters": _PARAMETERS,
    },
}
_INFER_REQUEST = {
    "type": "object",
    "description": "Images for a model.",
    "required": ["inputs"],
    "properties": {
        "id": {"type": "string", "description": "Any text; the response repeats it."},
        "inputs": {"type": "array", "items": _TENSOR, "description": "One tensor of files or of pixels."},
        "outputs": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["name"],
                "properties": {"name": {"type": "string"}, "parameters": _PARAMETERS},
            },
            "description": "The outputs to return. Empty: the default ones.",
        },
        "parameters": _PARAMETERS,
    },
}
_INFER_RESPONSE = {
    "type": "object",
    "description": "The outputs of a model.",
    "required": ["model_name", "model_version", "outputs"],
    "properties": {
        "id": {"type": "string", "description": "The `id` of the request."},
        "model_name": {"type": "string", "description": "The model that computed the outputs."},
        "model_version": {"type": "string", "description": "Its version."},
        "outputs": {"type": "array", "items": _TENSOR, "description": "The outputs."},
        "parameters": _PARAMETERS,
    },
}


def inference_paths(schemas: Schemas) -> dict[str, Any]:
    """Return the paths of the Open Inference Protocol."""
    schemas.found |= {
        "InferRequest": _INFER_REQUEST,
        "InferResponse": _INFER_RESPONSE,
        "InferenceError": _ERROR,
    }
    infer = {"$ref": f"{SCHEMAS}InferRequest"}, {"$ref": f"{SCHEMAS}InferResponse"}
    of_model: list[tuple[str, str, str, Any]] = [
        ("", "get", "The tensors of a model.", schemas.reference(v2_pb2.ModelMetadataResponse.DESCRIPTOR)),
        ("/ready", "get", "Whether a model serves; the status is 400 if not.", {"type": "object"}),
        ("/config", "get", "How the server runs a model.", schemas.reference(v2_pb2.ModelConfig.DESCRIPTOR)),
        (
            "/stats",
            "get",
            "What a model has done.",
            schemas.reference(v2_pb2.ModelStatisticsResponse.DESCRIPTOR),
        ),
        ("/infer", "post", "Returns the outputs of a model for images.", infer[1]),
    ]
    live = {"type": "object", "properties": {"live": {"type": "boolean"}}}
    ready = {"type": "object", "properties": {"ready": {"type": "boolean"}}}
    index = {
        "type": "array",
        "items": schemas.reference(v2_pb2.RepositoryIndexResponse.ModelIndex.DESCRIPTOR),
    }
    found: dict[str, Any] = {
        "/v2": _v2("get", "The server.", schemas.reference(v2_pb2.ServerMetadataResponse.DESCRIPTOR)),
        "/v2/health/live": _v2("get", "Whether the server works.", live),
        "/v2/health/ready": _v2("get", "Whether the server accepts requests; if not, with 503.", ready),
        "/v2/models/stats": _v2(
            "get", "What all models have done.", schemas.reference(v2_pb2.ModelStatisticsResponse.DESCRIPTOR)
        ),
        "/v2/repository/index": _v2("post", "The states of all versions.", index),
        "/v2/repository/models/{model}/load": _v2("post", "Loads a model.", {"type": "object"}, "model"),
        "/v2/repository/models/{model}/unload": _v2("post", "Ends a model.", {"type": "object"}, "model"),
    }
    for base, names in (
        ("/v2/models/{model}", ("model",)),
        ("/v2/models/{model}/versions/{version}", ("model", "version")),
    ):
        for suffix, method, summary, response in of_model:
            item = _v2(method, summary, response, *names)
            if suffix == "/infer":
                content = {"application/json": {"schema": infer[0]}}
                content["application/octet-stream"] = {"schema": {"type": "string", "format": "binary"}}
                item["post"]["requestBody"] = {"required": True, "content": content}
            found[base + suffix] = item
    return found


def _v2(method: str, summary: str, response: Any, *names: str) -> dict[str, Any]:
    error = {"application/json": {"schema": {"$ref": f"{SCHEMAS}InferenceError"}}}
    found = {"schema": response}
    return {
        method: {
            "summary": summary,
            "parameters": [
                {"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names
            ],
            "responses": {
                "200": {"description": "The response.", "content": {"application/json": found}},
                "default": {"description": "The request failed.", "content": error},
            },
        }
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
