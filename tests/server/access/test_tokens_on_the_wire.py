"""Servers with a file of tokens, and callers with valid, invalid and no tokens."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event
from typing import Any

import grpc
import pytest
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_reflection.v1alpha.reflection_pb2 import ServerReflectionRequest
from grpc_reflection.v1alpha.reflection_pb2_grpc import ServerReflectionStub

from spyglass.v1.classify_pb2 import ClassifyRequest
from spyglass.v1.heatmap_pb2 import HeatmapRequest
from spyglass.v1.image_pb2 import Image
from spyglass.v1.model_pb2 import TASK_CLASSIFY, GetModelRequest, ListModelsRequest, ModelRef
from spyglass.v1.segment_pb2 import SegmentRequest
from spyglass_server.access import token_store
from spyglass_server.access.token_file import revoke_entries
from spyglass_server.engine.models.model import Model
from spyglass_server.interceptors import grpcio_calls
from spyglass_server.observing.request_fields import request_fields
from spyglass_server.observing.tracing.attributes import attributes_of

Code = grpc.StatusCode
PATIENCE = 30
# A change of the file is seen within this time, and the machine of the tests may be slow.
REREAD_SECONDS = 5


def bearer(token: str) -> dict[str, Any]:
    return {"metadata": [("authorization", f"Bearer {token}")], "timeout": PATIENCE}


@pytest.fixture(params=["by the loop of events", pytest.param("by a layer", marks=pytest.mark.slow)])
def guarded(
    request: pytest.FixtureRequest,
    token_file: Any,
    run_server: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[..., Any]:
    """Start a server with the tokens: with the private names of grpcio, and without them."""
    if request.param == "by a layer":
        from spyglass_server.interceptors import grpcio_loop

        for module in (grpcio_calls, grpcio_loop):
            monkeypatch.setattr(module, "_NAMES", ("_a_name_that_grpcio_does_not_have",))
    return lambda *arguments, **settings: run_server(*arguments, tokens=token_file.path, **settings)


@pytest.fixture
def end_of_stream(guarded: Callable[..., Any]) -> Code:
    """The code that ends a stream whose token is revoked."""
    # grpcio's own iterator of requests waits for a message, so the call can only be cancelled.
    return Code.UNAUTHENTICATED if grpcio_calls.is_known() else Code.CANCELLED


@pytest.fixture
def looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server looks at the file with each tick."""
    monkeypatch.setattr(token_store, "_LOOK_SECONDS", 0.0)


@pytest.fixture
def red(color_image: Callable[..., bytes]) -> ClassifyRequest:
    return ClassifyRequest(image=Image(encoded=color_image("red")))


def forever(request: ClassifyRequest, idle: Event) -> Iterator[ClassifyRequest]:
    yield request
    assert idle.wait(PATIENCE)


def test_callers_with_a_token_are_served_and_health_needs_none(
    guarded: Callable[..., Any], token_file: Any, red: ClassifyRequest
) -> None:
    server, token = guarded_with(guarded, token_file)

    assert server.vision.Classify(red, **bearer(token)).classes[0].name == "red"
    (response,) = server.vision.ClassifyStream(iter([red]), **bearer(token))
    assert response.classes[0].name == "red"
    assert len(server.vision.ListModels(ListModelsRequest(), **bearer(token)).models) == 1
    health = server.health.Check(HealthCheckRequest(), timeout=PATIENCE)
    assert health.status == HealthCheckResponse.SERVING
    assert next(server.health.Watch(HealthCheckRequest(), timeout=PATIENCE)).status


def guarded_with(guarded: Callable[..., Any], token_file: Any, *scopes: str) -> tuple[Any, str]:
    token = token_file.issue("team", *scopes)
    return guarded(), token


def test_absent_tokens_are_told_apart_from_those_that_are_not_accepted_and_no_others(
    guarded: Callable[..., Any], token_file: Any, red: ClassifyRequest, refused: Callable[..., Any]
) -> None:
    revoked, expired = token_file.issue("old"), token_file.issue("late", expires_in=0.001)
    revoke_entries(token_file.path, "old")
    server, token = guarded_with(guarded, token_file)

    def refusals(**keywords: Any) -> set[tuple[Code, str, str]]:
        calls = [
            lambda: server.vision.Classify(red, timeout=PATIENCE, **keywords),
            lambda: list(server.vision.ClassifyStream(iter([red]), timeout=PATIENCE, **keywords)),
            lambda: server.vision.ListModels(ListModelsRequest(), timeout=PATIENCE, **keywords),
            lambda: list(
                ServerReflectionStub(server.channel).ServerReflectionInfo(
                    iter([ServerReflectionRequest(list_services="")]), timeout=PATIENCE, **keywords
                )
            ),
        ]
        found = [refused(call) for call in calls]
        return {(each.code, each.reason, each.message) for each in found}

    ((code, reason, message),) = refusals()
    assert (code, reason) == (Code.UNAUTHENTICATED, "TOKEN_MISSING")
    assert "authorization: Bearer TOKEN" in message
    wrong = [revoked, expired, token[:-1], f"spg_unknown_{token}", "", "x" * 4000]
    values = [*(f"Bearer {text}" for text in wrong), token, f"Basic {token}"]
    answers = [refusals(metadata=[("authorization", value)]) for value in values]
    assert answers == [{(Code.UNAUTHENTICATED, "TOKEN_NOT_ACCEPTED", "the token is not accepted")}] * 8


def test_the_scheme_of_a_token_is_read_in_any_case(
    guarded: Callable[..., Any], token_file: Any, red: ClassifyRequest
) -> None:
    server, token = guarded_with(guarded, token_file)

    metadata = [("authorization", f"bearer  {token}")]
    assert server.vision.Classify(red, metadata=metadata, timeout=PATIENCE).classes


def test_each_task_needs_its_scope(
    guarded: Callable[..., Any], token_file: Any, red: ClassifyRequest, refused: Callable[..., Any]
) -> None:
    server, token = guarded_with(guarded, token_file, "classify", "model:*")

    assert server.vision.Classify(red, **bearer(token)).classes
    calls = {
        "heatmap": [
            lambda: server.vision.Heatmap(HeatmapRequest(), **bearer(token)),
            lambda: list(server.vision.HeatmapStream(iter([HeatmapRequest()]), **bearer(token))),
        ],
        "segment": [
            lambda: server.vision.Segment(SegmentRequest(), **bearer(token)),
            lambda: list(server.vision.SegmentStream(iter([SegmentRequest()]), **bearer(token))),
        ],
    }
    for task, refusing in calls.items():
        for call in refusing:
            refusal = refused(call)
            assert (refusal.code, refusal.reason) == (Code.PERMISSION_DENIED, "SCOPE_MISSING")
            assert refusal.message == f"the caller lacks the scope {task}"


def test_models_are_used_only_with_a_scope_and_cannot_be_probed(
    guarded: Callable[..., Any],
    token_file: Any,
    red: ClassifyRequest,
    refused: Callable[..., Any],
    refusal_in: Callable[..., Any],
) -> None:
    server, other = guarded_with(guarded, token_file, "classify", "model:team-*")

    def asked(name: str) -> Any:
        return refused(
            lambda: server.vision.Classify(
                ClassifyRequest(image=red.image, model=ModelRef(name=name)), **bearer(other)
            )
        )

    served, unknown, default = asked("colors"), asked("colorz"), asked("")
    assert {each.code for each in (served, unknown, default)} == {Code.PERMISSION_DENIED}
    assert served.message.replace("colors", "colorz") == unknown.message
    assert "model:'colors'" in served.message
    assert "colors" not in default.message
    missing = asked("team-x")
    assert missing.code is Code.NOT_FOUND
    assert "colors" not in missing.message

    assert not server.vision.ListModels(ListModelsRequest(), **bearer(other)).models
    for request in (
        GetModelRequest(model=ModelRef(name="colors")),
        GetModelRequest(task=TASK_CLASSIFY),
    ):
        refusal = refused(lambda request=request: server.vision.GetModel(request, **bearer(other)))
        assert refusal.code is Code.PERMISSION_DENIED
    ambiguous = refused(lambda: server.vision.GetModel(GetModelRequest(), **bearer(other)))
    assert ambiguous.reason == "MODEL_NAME_MISSING"

    named = ClassifyRequest(image=red.image, model=ModelRef(name="colors"))
    (streamed,) = server.vision.ClassifyStream(iter([named]), **bearer(other))
    assert refusal_in(streamed.error).code is Code.PERMISSION_DENIED


def test_a_token_for_one_model_sees_and_uses_it(
    guarded: Callable[..., Any], token_file: Any, red: ClassifyRequest
) -> None:
    server, token = guarded_with(guarded, token_file, "classify", "model:col*")

    assert server.vision.Classify(red, **bearer(token)).classes
    (model,) = server.vision.ListModels(ListModelsRequest(), **bearer(token)).models
    assert model.name == "colors"
    request = GetModelRequest(model=ModelRef(name="colors"))
    assert server.vision.GetModel(request, **bearer(token)).card.name == "colors"


@pytest.mark.slow
def test_a_revoked_token_is_refused_and_a_new_one_accepted_within_seconds(
    guarded: Callable[..., Any], token_file: Any, red: ClassifyRequest, eventually: Callable[..., None]
) -> None:
    server, token = guarded_with(guarded, token_file)
    assert server.vision.Classify(red, **bearer(token)).classes

    new = token_file.issue("new")
    revoke_entries(token_file.path, "team")
    began = time.monotonic()

    def code(token: str) -> Code:
        return server.vision.Classify.with_call(red, **bearer(token))[1].code()

    def is_refused() -> bool:
        try:
            return code(token) is not Code.OK
        except grpc.RpcError as error:
            return error.code() is Code.UNAUTHENTICATED

    eventually(is_refused)
    assert time.monotonic() - began < REREAD_SECONDS
    assert code(new) is Code.OK


@pytest.mark.usefixtures("looks_often")
def test_an_open_stream_ends_when_its_token_is_revoked(
    guarded: Callable[..., Any], token_file: Any, red: ClassifyRequest, end_of_stream: Code
) -> None:
    kept, idle = token_file.issue("kept"), Event()
    server, token = guarded_with(guarded, token_file)
    streams = [server.vision.ClassifyStream(forever(red, idle), **bearer(each)) for each in (token, kept)]
    assert all(next(stream).classes for stream in streams)

    revoke_entries(token_file.path, "team")
    began = time.monotonic()
    with pytest.raises(grpc.RpcError):
        next(streams[0])

    assert streams[0].code() is end_of_stream
    assert time.monotonic() - began < REREAD_SECONDS
    idle.set()
    assert list(streams[1]) == []


@pytest.mark.slow
def test_an_open_stream_ends_when_its_token_expires(
    guarded: Callable[..., Any], token_file: Any, red: ClassifyRequest, end_of_stream: Code
) -> None:
    token, idle = token_file.issue(expires_in=2), Event()
    stream = guarded().vision.ClassifyStream(forever(red, idle), **bearer(token))
    assert next(stream).classes

    with pytest.raises(grpc.RpcError):
        next(stream)

    assert stream.code() is end_of_stream
    idle.set()


@pytest.mark.usefixtures("looks_often")
def test_a_stream_with_a_revoked_token_ends_even_if_its_requests_take_long_or_it_reads_nothing(
    token_file: Any,
    run_server: Callable[..., Any],
    open_network: Callable[[Path], Model],
    network: Any,
    red: ClassifyRequest,
    refused: Callable[..., Any],
    eventually: Callable[..., None],
) -> None:
    token, idle = token_file.issue("team"), Event()
    server = run_server(open_network, tokens=token_file.path)
    network.close_gate()
    stream = server.vision.ClassifyStream(forever(red, idle), **bearer(token))
    assert network.entered.acquire(timeout=PATIENCE)

    revoke_entries(token_file.path, "team")
    began = time.monotonic()

    assert refused(lambda: next(stream)).code is Code.UNAUTHENTICATED
    assert time.monotonic() - began < REREAD_SECONDS
    eventually(lambda: len(server.server._gate.streams) == 0)
    idle.set()


def test_refused_calls_are_logged_once_a_minute_without_the_token(
    token_file: Any,
    run_server: Callable[..., Any],
    red: ClassifyRequest,
    refused: Callable[..., Any],
    caplog: pytest.LogCaptureFixture,
) -> None:
    token = token_file.issue()
    server = run_server(tokens=token_file.path)

    for number in range(20):
        refused(lambda number=number: server.vision.Classify(red, **bearer(f"{token}{number}")))

    lines = [line for line in caplog.messages if "were refused" in line]
    assert len(lines) == 1
    assert "TOKEN_NOT_ACCEPTED" in lines[0]
    assert token.split("_", 2)[2] not in caplog.text


def test_the_observation_of_a_call_names_its_caller(
    guarded: Callable[..., Any], token_file: Any, red: ClassifyRequest
) -> None:
    server, token = guarded_with(guarded, token_file)
    seen: list[tuple[str, str]] = []
    server.server._observing.observers._observers += (
        lambda observation: seen.append((observation.call.caller.name, observation.code)),
    )

    server.vision.Classify(red, **bearer(token))
    list(server.vision.ClassifyStream(iter([red]), **bearer(token)))

    assert seen == [("team", "OK")] * 3


def test_the_log_and_the_spans_name_the_caller(
    guarded: Callable[..., Any], token_file: Any, red: ClassifyRequest
) -> None:
    server, token = guarded_with(guarded, token_file)
    seen: list[tuple[object, object]] = []
    server.server._observing.observers._observers += (
        lambda observation: seen.append(
            (request_fields(observation)["caller"], attributes_of(observation)["enduser.id"])
        ),
    )

    server.vision.Classify(red, **bearer(token))

    assert seen == [("team", "team")]
