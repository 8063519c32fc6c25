"""The line of a request in the log."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1.health_pb2 import HealthCheckRequest

from spyglass.inference.v2_pb2 import ModelInferRequest
from spyglass.inference.v2_pb2_grpc import GRPCInferenceServiceStub
from spyglass.v1.classify_pb2 import ClassifyRequest
from spyglass.v1.image_pb2 import Image, RawImage
from spyglass.v1.model_pb2 import ListModelsRequest, ModelRef
from spyglass_server.engine.observation import Observation
from spyglass_server.logs import FIELDS
from spyglass_server.observing.request_log import RequestLog

PATIENCE = 30
LOGGER = "spyglass.requests"


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Callable[[], list[dict[str, Any]]]:
    """Return the lines of requests so far: their fields, level and message."""
    caplog.set_level(logging.INFO, LOGGER)

    def find() -> list[dict[str, Any]]:
        return [
            {"level": record.levelname, "message": record.getMessage(), **record.__dict__[FIELDS]}
            for record in caplog.records
            if record.name == LOGGER
        ]

    return find


Lines = Callable[[], list[dict[str, Any]]]


def test_an_answered_request_has_a_line_with_all_that_is_known(
    server: Any, color_image: Callable[..., bytes], lines: Lines
) -> None:
    request = ClassifyRequest(image=Image(encoded=color_image("red")))
    response = server.vision.Classify(request, timeout=PATIENCE, metadata=[("x-request-id", "mine")])

    (line,) = lines()
    assert (line["level"], line["message"]) == ("INFO", "/spyglass.v1.Vision/Classify")
    assert (line["request_id"], line["code"]) == ("mine", "OK")
    assert (line["model"], line["version"]) == (response.served_by.model, response.served_by.version)
    assert (line["provider"], line["precision"]) == ("CPUExecutionProvider", "fp32")
    assert line["caller"].startswith(("ipv4:", "ipv6:"))
    assert line["image_format"] == "PNG" and line["image_size"] == "20x12"
    assert (line["request_bytes"], line["response_bytes"]) == (request.ByteSize(), response.ByteSize())
    assert line["batch_size"] == 1
    stages = sum(line[name] for name in ("queue_ms", "decode_ms", "inference_ms", "encode_ms"))
    assert 0 < stages <= line["duration_ms"] + 0.01
    assert line["inference_ms"] == pytest.approx(response.timing.inference_ms, abs=0.001)
    assert not {"reason", "slow", "index", "messages"} & set(line)


def test_a_failed_request_has_a_line_with_its_reason(server: Any, lines: Lines) -> None:
    for request in (
        ClassifyRequest(image=Image(encoded=b"no image")),
        ClassifyRequest(image=Image(encoded=b"-"), model=ModelRef(name="none\n\x1b[31m")),
    ):
        with pytest.raises(grpc.RpcError):
            server.vision.Classify(request, timeout=PATIENCE)

    first, second = lines()
    assert (first["code"], first["reason"]) == ("INVALID_ARGUMENT", "IMAGE_UNRECOGNISED")
    assert first["model"] and "image_size" not in first and "inference_ms" not in first
    assert (second["code"], second["reason"]) == ("NOT_FOUND", "MODEL_NOT_FOUND")
    # The name that the caller made up is not the name of a model.
    assert "model" not in second


def test_pixels_have_a_size_and_a_format(server: Any, lines: Lines) -> None:
    raw = RawImage(width=5, height=3, channels=3, data=bytes(45))
    server.vision.Classify(ClassifyRequest(image=Image(raw=raw)), timeout=PATIENCE)

    (line,) = lines()
    assert (line["image_format"], line["image_size"]) == ("RAW", "5x3")


def test_a_request_that_the_cache_answered_has_a_line_without_stages(
    run_server: Callable[..., Any], color_image: Callable[..., bytes], lines: Lines
) -> None:
    vision = run_server(response_cache_bytes=1024 * 1024).vision
    request = ClassifyRequest(image=Image(encoded=color_image("red")))
    for _ in range(2):
        response = vision.Classify(request, timeout=PATIENCE)

    computed, kept = lines()
    assert "cached" not in computed
    assert (kept["cached"], kept["code"], kept["image_format"]) == (True, "OK", "PNG")
    assert kept["response_bytes"] == response.ByteSize()
    times = {"queue_ms", "decode_ms", "inference_ms", "encode_ms", "batch_size", "image_size"}
    assert set(computed) - set(kept) == times
    assert {name: kept[name] for name in ("model", "version", "provider", "precision")} == {
        name: computed[name] for name in ("model", "version", "provider", "precision")
    }


def test_each_message_of_a_stream_has_a_line_and_so_has_the_stream(
    server: Any, color_image: Callable[..., bytes], lines: Lines
) -> None:
    images = [color_image("red"), b"no image", color_image("blue")]
    requests = [ClassifyRequest(image=Image(encoded=image), index=7 + i) for i, image in enumerate(images)]
    assert len(list(server.vision.ClassifyStream(iter(requests), timeout=PATIENCE))) == 3

    *messages, stream = lines()
    assert sorted((line["index"], line["code"]) for line in messages) == [
        (7, "OK"),
        (8, "INVALID_ARGUMENT"),
        (9, "OK"),
    ]
    assert (stream["code"], stream["messages"], stream["failed"]) == ("OK", 3, 1)
    assert len({line["request_id"] for line in (*messages, stream)}) == 1


def test_the_page_lists_every_field(
    run_server: Callable[..., Any],
    color_image: Callable[..., bytes],
    lines: Lines,
    repository_root: Path,
) -> None:
    running = run_server(slow_request_seconds=1e-9, response_cache_bytes=1024 * 1024)
    vision = running.vision
    good, bad = (ClassifyRequest(image=Image(encoded=each)) for each in (color_image("red"), b"no image"))
    assert len(list(vision.ClassifyStream(iter([good, bad]), timeout=PATIENCE))) == 2
    vision.Classify(good, timeout=PATIENCE)
    tensor = ModelInferRequest.InferInputTensor(name="image", datatype="BYTES", shape=[2])
    tensor.contents.bytes_contents.extend([color_image("red"), color_image("blue")])
    batch = ModelInferRequest(model_name="colors", inputs=[tensor])
    GRPCInferenceServiceStub(running.channel).ModelInfer(batch, timeout=PATIENCE)

    found = {name for line in lines() for name in line} - {"level", "message"}
    page = (repository_root / "docs/logs.md").read_text()
    table = page.partition("| field |")[2].partition("| setting |")[0]
    documented = set(re.findall(r"`([a-z_]+)`", " ".join(re.findall(r"^\|([^|]+)\|", table, re.MULTILINE))))
    assert found == documented


def test_calls_without_images_have_lines_and_health_checks_have_none(server: Any, lines: Lines) -> None:
    server.health.Check(HealthCheckRequest(), timeout=PATIENCE)
    server.vision.ListModels(ListModelsRequest(), timeout=PATIENCE)

    (line,) = lines()
    assert (line["message"], line["code"]) == ("/spyglass.v1.Vision/ListModels", "OK")
    assert "request_bytes" not in line


def ended(code: str = "OK", seconds: float = 0.01, kind: Any = "request", method: str = "/m") -> Observation:
    observation = Observation(method, kind=kind)
    observation.code = code
    observation.ended = observation.started + seconds
    return observation


def test_a_sample_of_the_successful_requests_is_logged_and_every_failure(lines: Lines) -> None:
    log = RequestLog(sample=0.25)
    for _ in range(1000):
        log(ended())
    for _ in range(50):
        log(ended("NOT_FOUND"))

    codes = [line["code"] for line in lines()]
    # Seven standard deviations around 250.
    assert 150 < codes.count("OK") < 350
    assert codes.count("NOT_FOUND") == 50


def test_no_successful_request_is_logged_with_a_sample_of_0(lines: Lines) -> None:
    log = RequestLog(sample=0.0)
    for _ in range(1000):
        log(ended())
    assert lines() == []


def test_a_slow_request_is_a_warning_even_if_it_is_not_in_the_sample(lines: Lines) -> None:
    log = RequestLog(sample=0.0, slow_seconds=1.0)
    log(ended(seconds=0.9))
    log(ended(seconds=1.1))

    (line,) = lines()
    assert (line["level"], line["slow"], line["duration_ms"]) == ("WARNING", True, 1100.0)


def test_streams_and_watches_are_never_slow(lines: Lines) -> None:
    log = RequestLog(slow_seconds=1.0, only_slow=True)
    log(ended(seconds=100, kind="stream"))
    log(ended(seconds=100, method="/grpc.health.v1.Health/Watch"))
    log(ended(seconds=100, kind="message"))
    assert [line["slow"] for line in lines()] == [True]


def test_a_slow_request_shows_its_stages(
    run_server: Callable[..., Any],
    open_network: Any,
    network: Any,
    color_image: Callable[..., bytes],
    lines: Lines,
) -> None:
    running = run_server(open_network, access_log=False, slow_request_seconds=0.2)
    compute = network.compute

    def slow(pixels: Any) -> Any:
        time.sleep(0.3)
        return compute(pixels)

    request = ClassifyRequest(image=Image(encoded=color_image("red")))
    running.vision.Classify(request, timeout=PATIENCE)
    assert lines() == []
    network.compute = slow
    running.vision.Classify(request, timeout=PATIENCE)

    (line,) = lines()
    assert line["level"] == "WARNING" and line["inference_ms"] > 250
    assert {"queue_ms", "decode_ms", "encode_ms"} < set(line)


def test_without_the_access_log_no_observer_logs(run_server: Callable[..., Any]) -> None:
    observing = run_server(access_log=False).server._observing
    assert observing.observers._observers == (observing.totals,)
