"""Requests that fail: problem details with the reasons of gRPC."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from http_forms import FORM, form, part

PROBLEM = "application/problem+json"


def check(reply: Any, status: int, reason: str) -> Any:
    assert (reply.status, reply.headers["content-type"]) == (status, PROBLEM), reply.body
    problem = reply.json
    assert (problem["status"], problem["reason"]) == (status, reason), problem
    assert problem["requestId"] == reply.headers["x-request-id"]
    assert len(problem["detail"]) < 600 and "Traceback" not in problem["detail"]
    assert str(Path.cwd()) not in problem["detail"]
    return problem


@pytest.mark.parametrize(
    ("method", "path", "status", "reason"),
    [
        ("GET", "/", 404, "PATH_UNKNOWN"),
        ("GET", "/v1", 404, "PATH_UNKNOWN"),
        ("POST", "/v1/classify/", 404, "PATH_UNKNOWN"),
        ("POST", "/v1/" + "x" * 5000, 404, "PATH_UNKNOWN"),
        ("GET", "/v1/classify", 405, "METHOD_NOT_ALLOWED"),
        ("PUT", "/v1/classify", 405, "METHOD_NOT_ALLOWED"),
        ("POST", "/v1/models", 405, "METHOD_NOT_ALLOWED"),
        ("GET", "/v1/models/a%2Fb", 404, "PATH_UNKNOWN"),
        ("GET", "/v1/models/colors@none", 404, "LABEL_NOT_FOUND"),
        ("GET", "/v1/models/:1", 400, "MODEL_NAME_INVALID"),
        ("GET", "/v1/models/%00", 404, "MODEL_NOT_FOUND"),
    ],
)
def test_a_path_or_a_method_that_does_not_exist(
    caller: Any, method: str, path: str, status: int, reason: str
) -> None:
    check(caller.send(method, path), status, reason)


@pytest.mark.parametrize(
    ("query", "reason", "field"),
    [
        ("top_k=many", "FIELD_INVALID", "top_k"),
        ("top_k=-1", "FIELD_INVALID", "top_k"),
        ("top_k=99999999999", "FIELD_INVALID", "top_k"),
        ("top_k=0&top_k=1", "FIELD_INVALID", "top_k"),
        ("topK=0&top_k=1", "FIELD_INVALID", "top_k"),
        ("top=1", "FIELD_UNKNOWN", "query"),
        ("image=1", "FIELD_UNKNOWN", "query"),
        ("model=a:b:c", "MODEL_NAME_INVALID", "model"),
        ("timeout=soon", "FIELD_INVALID", "timeout"),
        ("timeout=-1", "TIMEOUT_INVALID", "timeout"),
        ("id=" + "x" * 2000, "ID_TOO_LONG", "id"),
        ("x" * 3000 + "=1", "FIELD_UNKNOWN", "query"),
    ],
)
def test_a_query_that_is_wrong_names_the_field(
    caller: Any, color_image: Callable[..., bytes], query: str, reason: str, field: str
) -> None:
    problem = check(caller.post(f"/v1/classify?{query}", color_image("red")), 400, reason)

    assert problem["field"] == field


@pytest.mark.parametrize(
    ("body", "kind", "status", "reason"),
    [
        (b"", "image/png", 400, "IMAGE_MISSING"),
        (b"no image", "image/png", 400, "IMAGE_UNRECOGNISED"),
        (b"image", "text/plain", 415, "MEDIA_TYPE_UNSUPPORTED"),
        (b"image", "application/x-www-form-urlencoded", 415, "MEDIA_TYPE_UNSUPPORTED"),
        (b"image", "t" * 4000, 415, "MEDIA_TYPE_UNSUPPORTED"),
        (b"", "application/json", 400, "JSON_INVALID"),
        (b"{", "application/json", 400, "JSON_INVALID"),
        (b"[]", "application/json", 400, "JSON_INVALID"),
        (b"\xff\xfe", "application/json", 400, "JSON_INVALID"),
        (b"[" * 100_000, "application/json", 400, "JSON_INVALID"),
        (b'{"a":' * 100_000, "application/json", 400, "JSON_INVALID"),
        (b'{"image": {"encoded": "?"}}', "application/json", 400, "IMAGE_EMPTY"),
        (b'{"image": {}}', "application/json", 400, "IMAGE_MISSING"),
        (b'{"unknown": 1}', "application/json", 400, "JSON_INVALID"),
        (b'{"topK": 1e400}', "application/json", 400, "JSON_INVALID"),
        (b"no form", FORM, 400, "FORM_INVALID"),
        (b"", FORM, 400, "IMAGE_MISSING"),
        (b"", "multipart/form-data", 400, "FORM_INVALID"),
        (form(part("top_k", b"1")), FORM, 400, "IMAGE_MISSING"),
        (form(part("other", b"1", "a.png")), FORM, 400, "FIELD_UNKNOWN"),
        (form(part("image", b"1", "a.png"), part("image", b"2", "b.png")), FORM, 400, "FORM_INVALID"),
        (form(*[part(f"f{number}", b"1") for number in range(100)]), FORM, 400, "FORM_INVALID"),
        (form(part("id", b"x" * 100_000)), FORM, 400, "FORM_INVALID"),
    ],
    ids=range(23),
)
def test_a_body_that_is_wrong(caller: Any, body: bytes, kind: str, status: int, reason: str) -> None:
    check(caller.post("/v1/classify", body, kind), status, reason)

    assert caller.get("/healthz").status == 200


def test_a_body_that_is_too_large_is_refused_before_it_is_read(
    run_server: Callable[..., Any], callers: Callable[[Any], Any]
) -> None:
    caller = callers(run_server(http_port=0, max_image_bytes=1000))
    check(caller.post("/v1/classify", b"x" * 3_000_000), 413, "MESSAGE_TOO_LARGE")
    caller.connection.close()
    check(caller.post("/v1/classify", b"x" * 1001), 400, "IMAGE_TOO_MANY_BYTES")


def test_a_body_in_parts_is_bounded_too(
    run_server: Callable[..., Any], callers: Callable[[Any], Any]
) -> None:
    running = run_server(http_port=0, max_image_bytes=1000)
    caller = callers(running)
    headers, parts = {"content-type": "image/png"}, iter([b"x" * 100_000] * 30)
    caller.connection.request("POST", "/v1/classify", parts, headers, encode_chunked=True)
    response = caller.connection.getresponse()

    assert (response.status, json.loads(response.read())["reason"]) == (413, "MESSAGE_TOO_LARGE")
    assert callers(running).get("/healthz").status == 200


@pytest.mark.parametrize("text", ["0", "-1", "nan", "inf", "soon", "1e9"])
def test_the_time_of_a_caller_must_be_positive(
    caller: Any, color_image: Callable[..., bytes], text: str
) -> None:
    reply = caller.post("/v1/classify", color_image("red"), x_request_timeout=text)

    assert check(reply, 400, "TIMEOUT_INVALID")["field"] == "x-request-timeout"


def test_a_request_ends_at_the_time_of_its_caller(
    run_server: Callable[..., Any],
    open_network: Any,
    network: Any,
    callers: Callable[[Any], Any],
    color_image: Callable[..., bytes],
) -> None:
    caller = callers(run_server(open_network, http_port=0))
    network.close_gate()

    reply = caller.post("/v1/classify", color_image("red"), x_request_timeout="0.2")

    check(reply, 504, "DEADLINE_EXCEEDED")
    network.gate.set()


def test_a_caller_that_disconnects_cancels_its_request(
    run_server: Callable[..., Any],
    open_network: Any,
    network: Any,
    callers: Callable[[Any], Any],
    color_image: Callable[..., bytes],
    eventually: Callable[..., None],
) -> None:
    running = run_server(open_network, http_port=0)
    caller, waiting = callers(running), callers(running)
    network.close_gate()
    for one in (caller, waiting):
        one.connection.request("POST", "/v1/classify", color_image("red"), {"content-type": "image/png"})
    workers = running.server._engine.workers
    eventually(lambda: workers.inside == 2)

    waiting.connection.close()

    eventually(lambda: workers.inside == 1)
    network.gate.set()
    assert caller.connection.getresponse().status == 200


def test_a_full_server_says_when_to_come_again(
    run_server: Callable[..., Any],
    open_network: Any,
    network: Any,
    callers: Callable[[Any], Any],
    color_image: Callable[..., bytes],
) -> None:
    running = run_server(open_network, http_port=0, max_in_flight=1)
    held, caller = callers(running), callers(running)
    network.close_gate()
    held.connection.request("POST", "/v1/classify", color_image("red"), {"content-type": "image/png"})
    assert network.entered.acquire(timeout=30)

    reply = caller.post("/v1/classify", color_image("red"))

    check(reply, 429, "QUEUE_FULL")
    assert int(reply.headers["retry-after"]) >= 1
    network.gate.set()


def test_a_request_has_the_id_of_its_caller(caller: Any, color_image: Callable[..., bytes]) -> None:
    assert (
        caller.post("/v1/classify", color_image("red"), x_request_id="a-1").headers["x-request-id"] == "a-1"
    )
    assert check(caller.post("/v1/classify", b"x", x_request_id="a-2"), 400, "IMAGE_UNRECOGNISED")
    assert caller.get("/nope").headers["x-request-id"]


def test_a_fault_of_the_server_has_no_details(
    run_server: Callable[..., Any],
    callers: Callable[[Any], Any],
    color_image: Callable[..., bytes],
    open_network: Any,
    network: Any,
) -> None:
    caller = callers(run_server(open_network, http_port=0))

    def fail(pixels: Any) -> Any:
        raise RuntimeError("the secret of the house")

    network.run = fail
    problem = check(caller.post("/v1/classify", color_image("red")), 500, "INTERNAL")

    assert "secret" not in json.dumps(problem)
