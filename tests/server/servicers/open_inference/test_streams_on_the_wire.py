"""ModelStreamInfer over a socket."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from threading import Event
from typing import Any

import grpc
import pytest

from spyglass.inference.v2_pb2 import ModelInferRequest
from spyglass.inference.v2_pb2_grpc import GRPCInferenceServiceStub
from spyglass_server.interceptors import grpcio_calls

PATIENCE = 30
Make = Callable[..., ModelInferRequest]


@pytest.fixture(params=["direct", pytest.param("on threads", marks=pytest.mark.slow)])
def v2(request: pytest.FixtureRequest, run_server: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A stub, with the private names of grpcio and without them."""
    if request.param == "on threads":
        monkeypatch.setattr(grpcio_calls, "_NAMES", ("_a_name_that_grpcio_does_not_have",))
    return GRPCInferenceServiceStub(run_server(concurrency=2).channel)


def test_responses_come_in_the_order_of_the_requests_and_errors_end_nothing(
    v2: Any, request_for: Make
) -> None:
    requests = [request_for(*["red"] * (1 + number % 3), id=str(number)) for number in range(20)]
    requests[7].model_name = "none"
    requests[11].raw_input_contents[0] = b"\1\0\0\0x\1\0\0\0y\1\0\0\0z"

    responses = list(v2.ModelStreamInfer(iter(requests), timeout=PATIENCE))

    assert [each.infer_response.id for each in responses] == [str(number) for number in range(20)]
    failed = {int(each.infer_response.id): each for each in responses if each.error_message}
    assert set(failed) == {7, 11}
    assert failed[7].error_message.startswith("the server has no model 'none'")
    parameters = failed[11].infer_response.parameters
    assert parameters["code"].string_param == "INVALID_ARGUMENT"
    assert parameters["reason"].string_param == "IMAGE_UNRECOGNISED"
    assert parameters["request_id"].string_param
    assert all(each.infer_response.parameters["triton_final_response"].bool_param for each in responses)


def test_a_response_comes_before_the_next_request(v2: Any, request_for: Make) -> None:
    came = Event()

    def requests() -> Iterator[ModelInferRequest]:
        yield request_for("red", id="first")
        assert came.wait(PATIENCE)
        yield request_for("blue", id="second")

    stream = v2.ModelStreamInfer(requests(), timeout=PATIENCE)
    assert next(stream).infer_response.id == "first"
    came.set()
    assert next(stream).infer_response.id == "second"


def test_bytes_that_are_no_request_end_the_stream_after_the_other_responses(
    run_server: Any, request_for: Make
) -> None:
    stream = run_server().channel.stream_stream("/inference.GRPCInferenceService/ModelStreamInfer")
    received = []
    with pytest.raises(grpc.RpcError) as raised:
        for response in stream(iter([request_for("red").SerializeToString(), b"\xff"]), timeout=PATIENCE):
            received.append(response)
    assert len(received) == 1
    assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_the_messages_and_the_stream_are_logged(
    run_server: Any, request_for: Make, caplog: pytest.LogCaptureFixture
) -> None:
    v2 = GRPCInferenceServiceStub(run_server().channel)
    with caplog.at_level("INFO", "spyglass.requests"):
        list(v2.ModelStreamInfer(iter([request_for("red"), request_for("red", "red")]), timeout=PATIENCE))

    fields = [record.__dict__["fields"] for record in caplog.records if "fields" in record.__dict__]
    assert [line.get("images") for line in fields if line.get("model") == "colors"] == [None, 2]
    assert fields[-1]["messages"] == 2
