"""The paths of the Open Inference Protocol for the OpenAPI document; `openapi.py` uses it."""

from __future__ import annotations

from typing import Any

from openapi_schemas import SCHEMAS, Schemas

from spyglass.inference import v2_pb2

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
