"""Bodies that are made to harm: halves of characters, thousands of parts, compression."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from typing import Any

import pytest

from http_forms import FORM, form, part

JSON = "application/json"
HALF = "\\ud800"


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/classify", f'{{"id": "{HALF}"}}'),
        ("/v1/classify", f'{{"{HALF}": 1}}'),
        ("/v2/models/colors/infer", f'{{"id": "{HALF}"}}'),
        ("/v2/models/colors/infer", f'{{"parameters": {{"{HALF}": 1}}}}'),
        ("/v2/models/colors/infer", f'{{"outputs": [{{"name": "{HALF}"}}]}}'),
        ("/v2/repository/index", f'{{"ready": "{HALF}"}}'),
        ("/v2/repository/models/colors/load", f'{{"parameters": {{"{HALF}": 1}}}}'),
        ("/v2/repository/models/colors/unload", f'{{"parameters": {{"a": "{HALF}"}}}}'),
    ],
)
def test_half_of_a_character_is_refused(caller: Any, path: str, body: str) -> None:
    reply = caller.post(path, body, JSON)

    assert (reply.status, reply.json["reason"]) == (400, "JSON_INVALID")


def test_a_form_with_many_parts_is_refused_fast_and_leaves_no_line(
    caller: Any, color_image: Callable[..., bytes], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        many = form(part("image", color_image("red") + b"\r\n--limitA" * 500_000, "a.png"))
        started = time.monotonic()
        replies = [
            caller.post("/v1/classify", many, FORM),
            caller.post("/v1/classify", form(*[part("id", b"a")] * 1000), FORM),
            caller.post("/v1/classify", b"no form", FORM),
        ]

    assert time.monotonic() - started < 5
    assert [(reply.status, reply.json["reason"]) for reply in replies] == [(400, "FORM_INVALID")] * 3
    assert not [record for record in caplog.records if "multipart" in record.name]


@pytest.mark.parametrize("boundary", ["", "; boundary=", "; boundary=" + "x" * 71])
def test_a_boundary_has_1_to_70_characters(caller: Any, boundary: str) -> None:
    reply = caller.post("/v1/classify", b"--", f"multipart/form-data{boundary}")

    assert (reply.status, reply.json["reason"]) == (400, "FORM_INVALID")
    assert "1 to 70 characters" in reply.json["detail"]


@pytest.mark.parametrize("path", ["/v1/classify", "/v2/models/colors/infer"])
def test_a_compressed_body_is_refused(caller: Any, path: str) -> None:
    reply = caller.post(path, b"\x1f\x8b", content_encoding="gzip")

    assert (reply.status, reply.json["field"]) == (415, "content-encoding")
    # It says nothing that the caller does not know.
    assert "Traceback" not in json.dumps(reply.json)


def test_paths_of_the_open_inference_protocol_have_its_form_of_errors(caller: Any) -> None:
    for path in ("/v2/nothing", "/v2/models/colors/infer"):
        reply = caller.get(path)
        assert reply.json["error"] == reply.json["detail"]
        assert reply.status in (404, 405)


def test_a_slash_too_many_is_no_redirection(caller: Any) -> None:
    reply = caller.post("/v1/classify/", b"", host="elsewhere.example")

    assert reply.status == 404 and "location" not in reply.headers
