"""ModelInfer over a socket: raw and typed contents, errors, quotas, and what the server counts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.request import urlopen

import grpc
import numpy as np
import pytest

from spyglass.inference.v2_pb2 import InferTensorContents, ModelInferRequest, ModelInferResponse
from spyglass.inference.v2_pb2_grpc import GRPCInferenceServiceStub
from spyglass_server.engine.models.model import Model
from spyglass_server.interceptors import grpcio_calls

Code = grpc.StatusCode
PATIENCE = 30
Make = Callable[..., ModelInferRequest]


@pytest.fixture(params=["direct", pytest.param("on threads", marks=pytest.mark.slow)])
def v2(request: pytest.FixtureRequest, run_server: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A stub, with the private names of grpcio and without them."""
    if request.param == "on threads":
        monkeypatch.setattr(grpcio_calls, "_NAMES", ("_a_name_that_grpcio_does_not_have",))
    return GRPCInferenceServiceStub(run_server(concurrency=2).channel)


def probabilities(response: ModelInferResponse) -> Any:
    (output,) = response.outputs
    assert (output.name, output.datatype, output.HasField("contents")) == ("probabilities", "FP32", False)
    return np.frombuffer(response.raw_output_contents[0], "<f4").reshape(list(output.shape))


def test_a_batch_of_files_gets_a_row_for_each(v2: Any, request_for: Make) -> None:
    response = v2.ModelInfer(request_for("red", "blue", "green", id="an id"), timeout=PATIENCE)

    assert probabilities(response).argmax(axis=1).tolist() == [0, 2, 1]
    assert (response.id, response.model_name, response.model_version) == ("an id", "colors", "1")
    assert len(response.parameters["sha256"].string_param) == 64
    assert response.parameters["precision"].string_param == "fp32"


@pytest.mark.parametrize("typed", [True, False])
def test_pixels_come_raw_or_as_numbers(v2: Any, typed: bool) -> None:
    pixels = np.zeros((2, 8, 8, 3), np.uint8)
    pixels[0, ..., 1] = pixels[1, ..., 0] = 255
    tensor = ModelInferRequest.InferInputTensor(name="image", datatype="UINT8", shape=pixels.shape)
    request = ModelInferRequest(model_name="colors", model_version="1", inputs=[tensor])
    if typed:
        request.inputs[0].contents.uint_contents.extend(pixels.ravel().tolist())
    else:
        request.raw_input_contents.append(pixels.tobytes())

    assert probabilities(v2.ModelInfer(request, timeout=PATIENCE)).argmax(axis=1).tolist() == [1, 0]


def test_files_come_as_typed_contents(v2: Any, color_image: Callable[..., bytes]) -> None:
    contents = InferTensorContents(bytes_contents=[color_image("blue")])
    tensor = ModelInferRequest.InferInputTensor(name="image", datatype="BYTES", shape=[1], contents=contents)
    request = ModelInferRequest(model_name="colors", inputs=[tensor])

    assert probabilities(v2.ModelInfer(request, timeout=PATIENCE)).argmax() == 2


def test_a_refusal_has_the_details_of_every_call(v2: Any, request_for: Make, refused: Any) -> None:
    refusal = refused(lambda: v2.ModelInfer(request_for("red", model_name="none"), timeout=PATIENCE))
    assert (refusal.code, refusal.reason, refusal.fields) == (
        Code.NOT_FOUND,
        "MODEL_NOT_FOUND",
        ["model_name"],
    )

    def refused_with(**fields: Any) -> tuple[Code, str]:
        found = refused(lambda: v2.ModelInfer(request_for("red", **fields), timeout=PATIENCE))
        return found.code, found.reason

    assert refused_with(raw_input_contents=[b"", b""]) == (Code.INVALID_ARGUMENT, "CONTENTS_INVALID")
    assert refused_with(raw_input_contents=[]) == (Code.INVALID_ARGUMENT, "CONTENTS_INVALID")
    assert refused_with(inputs=[], raw_input_contents=[]) == (Code.INVALID_ARGUMENT, "INPUT_COUNT_INVALID")
    twice = request_for("red")
    twice.inputs[0].contents.bytes_contents.append(b"")
    assert refused(lambda: v2.ModelInfer(twice, timeout=PATIENCE)).reason == "CONTENTS_INVALID"
    assert refused_with(parameters={"sequence_id": {"int64_param": 1}}) == (
        Code.UNIMPLEMENTED,
        "SEQUENCES_UNSUPPORTED",
    )


LARGE_FIELDS: tuple[dict[str, Any], ...] = (
    {"outputs": [{"name": "x"}] * 50_000},
    {"parameters": {str(number): {"bool_param": True} for number in range(20_000)}},
    {"inputs": [{"name": "image", "datatype": "BYTES", "shape": [1] * 150_000}]},
    {"raw_input_contents": [b""] * 100_000},
    {"model_version": "v" * 200_000},
)


def test_a_request_may_have_much_image_and_little_else(v2: Any, request_for: Make, refused: Any) -> None:
    for fields in LARGE_FIELDS:
        refusal = refused(lambda fields=fields: v2.ModelInfer(request_for("red", **fields), timeout=PATIENCE))
        assert (refusal.code, refusal.reason) == (Code.OUT_OF_RANGE, "REQUEST_TOO_LARGE"), [*fields]


def test_few_pixels_may_come_as_numbers_and_many_as_bytes(v2: Any, request_for: Make, refused: Any) -> None:
    request = request_for("red", raw_input_contents=[])
    request.inputs[0].contents.uint_contents.extend([1] * (4 * 1024 * 1024 + 1))

    refusal = refused(lambda: v2.ModelInfer(request, timeout=PATIENCE))

    assert (refusal.code, refusal.reason) == (Code.OUT_OF_RANGE, "REQUEST_TOO_LARGE")
    assert "send raw bytes" in refusal.message


def test_a_batch_takes_one_place_of_a_full_server_and_is_refused_whole(
    run_server: Any,
    network: Any,
    open_network: Callable[[Any], Model],
    request_for: Make,
    refused: Any,
    eventually: Any,
) -> None:
    running = run_server(open_network, max_in_flight=2)
    v2 = GRPCInferenceServiceStub(running.channel)
    network.close_gate()
    held = [v2.ModelInfer.future(request_for("red", "blue"), timeout=PATIENCE)]
    eventually(lambda: running.server._engine.workers.inside == 2)
    held.append(v2.ModelInfer.future(request_for("red"), timeout=PATIENCE))
    eventually(lambda: running.server._engine.workers.inside == 3)

    refusal = refused(lambda: v2.ModelInfer(request_for("red", "red"), timeout=PATIENCE))

    assert (refusal.code, refusal.reason) == (Code.RESOURCE_EXHAUSTED, "QUEUE_FULL")
    assert running.server._engine.workers.inside == 3
    network.gate.set()
    assert [len(probabilities(call.result(PATIENCE))) for call in held] == [2, 1]


def test_each_image_counts_for_the_limits_of_a_caller(
    run_server: Any, request_for: Make, refused: Any
) -> None:
    v2 = GRPCInferenceServiceStub(run_server(caller_requests_per_second=0.001).channel)
    v2.ModelInfer(request_for("red", "red", "red"), timeout=PATIENCE)

    refusal = refused(lambda: v2.ModelInfer(request_for("red"), timeout=PATIENCE))

    assert refusal.reason == "CALLER_REQUEST_RATE"
    # 3 requests took 3,000 s, of which the burst is 2.
    assert 2900 < refusal.retry_delay <= 3000


def test_metrics_have_the_request_once_and_each_of_its_images(run_server: Any, request_for: Make) -> None:
    running = run_server(metrics_port=0)
    v2 = GRPCInferenceServiceStub(running.channel)
    v2.ModelInfer(request_for("red", "blue", "red"), timeout=PATIENCE)

    with urlopen(f"http://localhost:{running.server.metrics_port}/metrics", timeout=PATIENCE) as response:
        page = response.read().decode()

    def value(name: str, *labels: str) -> float:
        (line,) = (
            line
            for line in page.splitlines()
            if line.startswith(f"{name}{{") and all(label in line for label in labels)
        )
        return float(line.rpartition(" ")[2])

    method = 'method="inference.GRPCInferenceService/ModelInfer"'
    assert value("spyglass_requests_total", method, 'code="OK"', 'version="1"') == 1
    assert value("spyglass_stage_duration_seconds_count", 'stage="inference"', 'model="colors"') == 3
    assert value("spyglass_images_total", 'format="PNG"') == 3
    assert value("spyglass_answered_total", 'precision="fp32"') == 3
