"""Kept responses go only to callers who may have them, and count as requests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import grpc
import pytest

from spyglass.v1.classify_pb2 import ClassifyRequest
from spyglass.v1.image_pb2 import Image

Code = grpc.StatusCode
PATIENCE = 30
LIMIT = 1024 * 1024


def bearer(token: str) -> dict[str, Any]:
    return {"metadata": [("authorization", f"Bearer {token}")], "timeout": PATIENCE}


@pytest.fixture
def red(color_image: Callable[..., bytes]) -> ClassifyRequest:
    return ClassifyRequest(image=Image(encoded=color_image("red")))


def test_a_kept_response_needs_the_scopes_of_its_call(
    run_server: Callable[..., Any], token_file: Any, red: ClassifyRequest, refused: Callable[..., Any]
) -> None:
    may = token_file.issue("may")
    other_task = token_file.issue("task", "segment", "model:*")
    other_model = token_file.issue("model", "classify", "model:pets")
    server = run_server(tokens=token_file.path, response_cache_bytes=LIMIT)
    call = server.vision.Classify
    call(red, **bearer(may))
    assert call(red, **bearer(may)).timing.cached

    for token in (other_task, other_model):
        refusal = refused(lambda token=token: call(red, **bearer(token)))
        assert (refusal.code, refusal.reason) == (Code.PERMISSION_DENIED, "SCOPE_MISSING")
    with pytest.raises(grpc.RpcError) as raised:
        call(red, timeout=PATIENCE)
    assert raised.value.code() == Code.UNAUTHENTICATED


def test_kept_responses_count_for_the_limits_of_their_caller(
    run_server: Callable[..., Any], red: ClassifyRequest, refused: Callable[..., Any]
) -> None:
    server = run_server(response_cache_bytes=LIMIT, caller_requests_per_second=0.01)

    assert not server.vision.Classify(red, timeout=PATIENCE).timing.cached
    refusal = refused(lambda: server.vision.Classify(red, timeout=PATIENCE))

    assert (refusal.code, refusal.reason) == (Code.RESOURCE_EXHAUSTED, "CALLER_REQUEST_RATE")


def test_callers_share_kept_responses_unless_they_must_not(
    run_server: Callable[..., Any], token_file: Any, red: ClassifyRequest
) -> None:
    one, other = token_file.issue("one"), token_file.issue("other")
    cached = {}
    for apart in (False, True):
        server = run_server(
            tokens=token_file.path, response_cache_bytes=LIMIT, response_cache_per_caller=apart
        )
        cached[apart] = [
            server.vision.Classify(red, **bearer(token)).timing.cached for token in (one, other, one, other)
        ]

    assert cached == {False: [False, True, True, True], True: [False, False, True, True]}
