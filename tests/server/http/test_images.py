"""`POST /v1/…`: images as bodies, forms and JSON; responses as JSON and PNG."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from io import BytesIO
from typing import Any

import pytest
from google.protobuf import json_format
from PIL import Image

from http_forms import FORM, form, part
from spyglass.v1.classify_pb2 import ClassifyRequest, ClassifyResponse
from spyglass.v1.image_pb2 import Image as ImageMessage


def names(reply: Any) -> list[str]:
    assert reply.status == 200, reply.body
    return [each["name"] for each in reply.json["classes"]]


@pytest.mark.parametrize("kind", ["image/png", "image/jpeg", "application/octet-stream", "IMAGE/PNG; x=1"])
def test_an_image_is_the_body(caller: Any, color_image: Callable[..., bytes], kind: str) -> None:
    reply = caller.post("/v1/classify?top_k=2", color_image("green"), kind)

    assert names(reply)[0] == "green" and len(names(reply)) == 2
    assert reply.headers["content-type"] == "application/json"


def test_the_response_is_the_json_form_of_the_message(caller: Any, color_image: Callable[..., bytes]) -> None:
    body = caller.post("/v1/classify?id=mine", color_image("red")).body

    response = json_format.Parse(body, ClassifyResponse())
    assert (response.id, response.classes[0].name, response.served_by.model) == ("mine", "red", "colors")
    # Class 0 and what else is 0 is there, too.
    assert json.loads(body)["classes"][0]["index"] == 0


def test_http_and_grpc_give_the_same_scores(
    run_server: Callable[..., Any], callers: Callable[[Any], Any], color_image: Callable[..., bytes]
) -> None:
    running = run_server(http_port=0)
    image = color_image("blue")

    reply = callers(running).post("/v1/classify", image)
    response = running.vision.Classify(ClassifyRequest(image=ImageMessage(encoded=image)))

    assert [each["score"] for each in reply.json["classes"]] == pytest.approx(
        [each.score for each in response.classes], abs=1e-7
    )


def test_a_form_has_the_image_and_options(caller: Any, color_image: Callable[..., bytes]) -> None:
    body = form(part("top_k", b"1"), part("image", color_image("blue"), "blue.png"), part("id", b"a"))

    reply = caller.post("/v1/classify", body, FORM)

    assert (names(reply), reply.json["id"]) == (["blue"], "a")


def test_json_has_the_image_in_base64(caller: Any, color_image: Callable[..., bytes]) -> None:
    encoded = base64.b64encode(color_image("red")).decode()
    body = json.dumps({"image": {"encoded": encoded}, "topK": 1, "model": {"name": "colors", "version": "1"}})

    assert names(caller.post("/v1/classify", body, "application/json")) == ["red"]


def test_json_can_have_pixels(caller: Any) -> None:
    data = base64.b64encode(bytes([0, 0, 255]) * 16).decode()
    raw = {"height": 4, "width": 4, "channels": 3, "data": data}

    assert (
        names(caller.post("/v1/classify", json.dumps({"image": {"raw": raw}}), "application/json"))[0]
        == "blue"
    )


@pytest.mark.parametrize("model", ["colors", "colors:1"])
def test_a_model_is_named_in_the_query(caller: Any, color_image: Callable[..., bytes], model: str) -> None:
    assert caller.post(f"/v1/classify?model={model}", color_image("red")).json["servedBy"]["version"] == "1"


@pytest.mark.parametrize(
    ("path", "fixture"), [("heatmap", "explaining_models"), ("segment", "segmenting_models")]
)
def test_a_drawing_is_a_png(
    run_server: Callable[..., Any],
    callers: Callable[[Any], Any],
    request: pytest.FixtureRequest,
    encode: Callable[..., bytes],
    path: str,
    fixture: str,
) -> None:
    caller = callers(run_server(models=request.getfixturevalue(fixture), http_port=0))
    image = encode(Image.new("RGB", (40, 30), "red"))
    model = caller.get("/v1/models").json["models"][0]["name"]

    reply = caller.post(f"/v1/{path}?model={model}", image, accept="image/png")

    assert (reply.status, reply.headers["content-type"]) == (200, "image/png"), reply.body
    assert reply.headers["x-spyglass-model"].startswith(f"{model}:")
    assert Image.open(BytesIO(reply.body)).size == (40, 30)
    numbers = caller.post(f"/v1/{path}?model={model}", image, accept="text/html, */*;q=0.1")
    assert numbers.headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    ("accept", "status"),
    [
        ("image/png", 406),
        ("image/png;q=0.2, application/json", 200),
        ("text/html", 406),
        ("*/*", 200),
        ("", 406),
    ],
)
def test_a_class_has_no_drawing(
    caller: Any, color_image: Callable[..., bytes], accept: str, status: int
) -> None:
    assert caller.post("/v1/classify", color_image("red"), accept=accept).status == status


def test_models_are_listed_and_shown(caller: Any) -> None:
    (listed,) = caller.get("/v1/models").json["models"]
    assert (listed["name"], listed["version"]) == ("colors", "1")

    shown = caller.get("/v1/models/colors:1").json
    assert shown["card"]["classNames"] == ["red", "green", "blue"]
    assert shown["card"]["certificate"]["pictures"] == []
    assert caller.get("/v1/models/other").json["reason"] == "MODEL_NOT_FOUND"


def test_checks_of_health_are_texts(caller: Any) -> None:
    for path in ("/healthz", "/readyz"):
        reply = caller.get(path)
        assert (reply.status, reply.body) == (200, b"ok\n")
