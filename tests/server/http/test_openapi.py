"""The OpenAPI document: it is valid, and requests and responses are as it says."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import jsonschema
import pytest

METHODS = {"get", "post"}


@pytest.fixture(scope="module")
def document(http_server: Any) -> Any:
    from http_callers import Caller

    caller = Caller(http_server.http_port)
    reply = caller.get("/openapi.json")
    caller.connection.close()
    assert (reply.status, reply.headers["content-type"]) == (200, "application/json")
    return reply.json


@pytest.fixture(scope="module")
def validate(document: Any) -> Callable[[Any, str], None]:
    """Check a value against a schema of the document."""

    def check(value: Any, name: str) -> None:
        schema = {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
        jsonschema.Draft202012Validator(schema).validate(value)

    return check


def schemas(document: Any) -> Any:
    return document["components"]["schemas"]


def test_every_schema_is_valid_and_every_reference_leads_to_one(document: Any) -> None:
    assert document["openapi"] == "3.1.0"
    for schema in schemas(document).values():
        jsonschema.Draft202012Validator.check_schema(schema)
    text = json.dumps(document)
    named = {part.split('"')[0] for part in text.split("#/components/schemas/")[1:]}
    assert named <= schemas(document).keys()


def test_every_path_exists_and_has_a_problem_as_its_error(document: Any, caller: Any) -> None:
    for path, item in document["paths"].items():
        assert item.keys() <= METHODS
        for method, operation in item.items():
            place = path.replace("{model}", "colors").replace("{version}", "1")
            reply = caller.send(method.upper(), place)
            assert reply.status not in (404, 405), (method, path)
            assert "200" in operation["responses"]


@pytest.mark.parametrize("kind", ["json", "file"])
def test_requests_and_responses_are_as_documented(
    validate: Callable[[Any, str], None], caller: Any, color_image: Callable[..., bytes], kind: str
) -> None:
    image = color_image("red")
    if kind == "json":
        body = {"id": "a", "image": {"encoded": base64.b64encode(image).decode()}, "topK": 2}
        validate(body, "ClassifyRequest")
        reply = caller.post("/v1/classify", json.dumps(body), "application/json")
    else:
        reply = caller.post("/v1/classify?top_k=2", image)

    assert reply.status == 200
    validate(reply.json, "ClassifyResponse")
    validate(caller.get("/v1/models").json, "ListModelsResponse")
    validate(caller.get("/v1/models/colors?with_golden=true").json, "GetModelResponse")
    validate(caller.post("/v1/classify", b"x").json, "Problem")
    with pytest.raises(jsonschema.ValidationError):
        validate({"image": {"encoded": 7}}, "ClassifyRequest")


def test_the_open_inference_protocol_is_as_documented(
    validate: Callable[[Any, str], None], document: Any, caller: Any
) -> None:
    pixels = [[[[9, 8, 7]] * 8] * 8]
    body = {"inputs": [{"name": "image", "datatype": "UINT8", "shape": [1, 8, 8, 3], "data": pixels}]}
    validate(body, "InferRequest")

    reply = caller.post("/v2/models/colors/infer", json.dumps(body), "application/json")

    validate(reply.json, "InferResponse")
    validate(caller.post("/v2/models/colors/infer", "{}", "application/json").json, "InferenceError")
    for path, name in (
        ("/v2", "inference.ServerMetadataResponse"),
        ("/v2/models/colors", "inference.ModelMetadataResponse"),
        ("/v2/models/colors/config", "inference.ModelConfig"),
        ("/v2/models/colors/stats", "inference.ModelStatisticsResponse"),
    ):
        validate(caller.get(path).json, name)


def test_each_parameter_of_the_query_is_taken(
    document: Any, caller: Any, color_image: Callable[..., bytes]
) -> None:
    samples = {"id": "a", "model": "colors", "top_k": "1", "timeout": "30"}
    parameters = document["paths"]["/v1/classify"]["post"]["parameters"]
    assert {each["name"] for each in parameters if each["in"] == "query"} == samples.keys()

    query = "&".join(f"{name}={value}" for name, value in samples.items())

    assert caller.post(f"/v1/classify?{query}", color_image("red")).status == 200
