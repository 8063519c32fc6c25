"""Write server/spyglass_server/http/openapi.json from the messages and the comments of the .proto files.

`python tools/openapi.py` writes the document. With `--check` it fails if the document is stale.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message
from openapi_inference import inference_paths
from openapi_schemas import SCHEMAS, Comments, Schemas

from spyglass.v1 import classify_pb2, heatmap_pb2, model_pb2, segment_pb2

DOCUMENT = Path("server/spyglass_server/http/openapi.json")
PROTOS = Path("protos/spyglass/v1")
INFERENCE = Path("protos/spyglass/inference")

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
