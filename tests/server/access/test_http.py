"""Tokens and scopes of HTTP requests."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any


def test_tokens_and_scopes_are_those_of_grpc(
    run_server: Callable[..., Any],
    callers: Callable[[Any], Any],
    color_image: Callable[..., bytes],
    token_file: Any,
) -> None:
    token = token_file.issue("team", "classify", "model:*")
    caller = callers(run_server(http_port=0, tokens=token_file.path))
    image = color_image("red")

    assert caller.get("/healthz").status == 200
    without = caller.post("/v1/classify", image)
    assert (without.status, without.headers["www-authenticate"]) == (401, "Bearer")
    wrong = caller.post("/v1/classify", image, authorization="Bearer nope")
    assert (wrong.status, wrong.json["reason"]) == (401, "TOKEN_NOT_ACCEPTED")
    bearer = {"authorization": f"Bearer {token}"}
    assert caller.post("/v1/classify", image, **bearer).status == 200
    refused = caller.post("/v1/heatmap", image, **bearer)
    assert (refused.status, refused.json["reason"]) == (403, "SCOPE_MISSING")
    inferred = caller.post("/v2/models/colors/infer", "{}", "application/json")
    assert (inferred.status, inferred.json["reason"]) == (401, "TOKEN_MISSING")
    assert token not in json.dumps(refused.json)


def test_models_are_changed_only_with_the_scope_of_operators(
    run_server: Callable[..., Any], callers: Callable[[Any], Any], token_file: Any
) -> None:
    user = token_file.issue("team", "classify", "model:*")
    operator = token_file.issue("operator", "admin", "classify", "model:*")
    caller = callers(run_server(http_port=0, tokens=token_file.path, admin=True))
    path = "/v2/repository/models/colors/load"

    refused = caller.post(path, "", "application/json", authorization=f"Bearer {user}")
    assert (refused.status, refused.json["reason"]) == (403, "SCOPE_MISSING")
    for origin in ({}, {"origin": "https://ours.example"}):
        reply = caller.post(path, "", "application/json", authorization=f"Bearer {operator}", **origin)
        assert reply.status == 200
