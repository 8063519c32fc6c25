"""Kept responses over HTTP: of both interfaces, shared with gRPC, and made outside of the event loop."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from spyglass.v1.classify_pb2 import ClassifyRequest
from spyglass.v1.image_pb2 import Image as ImageMessage
from spyglass_server.http import vision

LIMIT = 4 * 1024 * 1024


@pytest.fixture
def running(run_server: Callable[..., Any], explaining_models: Path) -> Any:
    return run_server(
        models=explaining_models, default_model=["colors"], http_port=0, response_cache_bytes=LIMIT
    )


@pytest.fixture
def caller(running: Any, callers: Callable[[Any], Any]) -> Any:
    return callers(running)


def test_http_and_grpc_share_kept_responses(
    running: Any, caller: Any, color_image: Callable[..., bytes]
) -> None:
    image = color_image("blue")
    first, second = (caller.post("/v1/classify", image).json for _ in range(2))
    response = running.vision.Classify(ClassifyRequest(image=ImageMessage(encoded=image)))

    assert (first["timing"]["cached"], second["timing"]["cached"]) == (False, True)
    assert first["classes"] == second["classes"]
    assert response.timing.cached


def test_a_large_image_is_kept(caller: Any) -> None:
    file = BytesIO()
    pixels = np.random.default_rng(0).integers(0, 256, (200, 200, 3), np.uint8)
    Image.fromarray(pixels).save(file, "BMP")

    found = [caller.post("/v1/classify", file.getvalue()).json["timing"]["cached"] for _ in range(2)]

    assert found == [False, True]


def test_a_kept_response_is_drawn_outside_of_the_event_loop(
    caller: Any, color_image: Callable[..., bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    names: list[str] = []
    render = vision.json_answer

    def noted(request: Any, response: Any) -> Any:
        names.append(threading.current_thread().name)
        return render(request, response)

    monkeypatch.setattr(vision, "json_answer", noted)
    found = [caller.post("/v1/classify", color_image("red")).json["timing"]["cached"] for _ in range(2)]

    assert found == [False, True]
    assert len(names) == 2 and names[1].startswith("grpc")


def test_a_drawing_of_a_kept_heatmap_is_that_of_the_first(
    caller: Any, color_image: Callable[..., bytes]
) -> None:
    first, second = (caller.post("/v1/heatmap", color_image("red"), accept="image/png") for _ in range(2))

    assert first.status == second.status == 200
    assert first.headers["content-type"] == "image/png"
    assert first.body == second.body


def test_outputs_of_the_open_inference_protocol_are_kept_in_any_form(
    caller: Any, color_image: Callable[..., bytes]
) -> None:
    data = [base64.b64encode(color_image(color)).decode() for color in ("red", "green")]
    tensor = {"name": "image", "datatype": "BYTES", "shape": [2], "data": data}

    def infer(**more: Any) -> Any:
        body = json.dumps({"inputs": [tensor], **more})
        return caller.post("/v2/models/colors/infer", body, "application/json")

    first, second, binary = infer(), infer(), infer(parameters={"binary_data_output": True})

    assert "cached" not in first.json["parameters"]
    assert second.json["parameters"]["cached"] is True
    assert second.json["outputs"] == first.json["outputs"]
    head = binary.body[: int(binary.headers["inference-header-content-length"])]
    assert json.loads(head)["parameters"]["cached"] is True
