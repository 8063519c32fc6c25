"""The Open Inference Protocol over HTTP: JSON tensors, binary tensors, metadata and the repository."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

SIZE = 8
INFER = "/v2/models/colors/infer"


def pixels(color: tuple[int, int, int], count: int = 1) -> Any:
    return np.full((count, SIZE, SIZE, 3), color, np.uint8)


def tensor(data: Any, datatype: str = "UINT8", shape: Any = None, **more: Any) -> dict[str, Any]:
    return {"name": "image", "datatype": datatype, "shape": shape or [1, SIZE, SIZE, 3], "data": data, **more}


def infer(caller: Any, *inputs: Any, path: str = INFER, **more: Any) -> Any:
    return caller.post(path, json.dumps({"inputs": list(inputs), **more}), "application/json")


def best(reply: Any) -> list[int]:
    assert reply.status == 200, reply.body
    (output,) = reply.json["outputs"]
    assert (output["name"], output["datatype"]) == ("probabilities", "FP32")
    return [int(index) for index in np.reshape(output["data"], output["shape"]).argmax(axis=1)]


def test_nested_and_flat_lists_of_pixels_are_classified(caller: Any) -> None:
    blue = pixels((0, 0, 255))

    assert best(infer(caller, tensor(blue.tolist()))) == [2]
    assert best(infer(caller, tensor(blue.ravel().tolist()))) == [2]


def test_a_batch_of_files_in_base64_is_classified(caller: Any, color_image: Callable[..., bytes]) -> None:
    files = [base64.b64encode(color_image(color)).decode() for color in ("green", "red", "blue")]

    reply = infer(caller, tensor(files, "BYTES", [3]), id="mine")

    assert best(reply) == [1, 0, 2]
    assert (reply.json["id"], reply.json["model_name"], reply.json["model_version"]) == (
        "mine",
        "colors",
        "1",
    )


def test_elements_after_the_json_are_read_and_written(caller: Any) -> None:
    raw = pixels((0, 255, 0), 2).tobytes()
    entry = {"name": "image", "datatype": "UINT8", "shape": [2, SIZE, SIZE, 3]}
    entry["parameters"] = {"binary_data_size": len(raw)}
    head = json.dumps({"inputs": [entry], "parameters": {"binary_data_output": True}}).encode()

    reply = caller.post(
        INFER, head + raw, "application/octet-stream", inference_header_content_length=str(len(head))
    )

    length = int(reply.headers["inference-header-content-length"])
    (output,) = json.loads(reply.body[:length])["outputs"]
    scores = np.frombuffer(reply.body[length:], "<f4").reshape(output["shape"])
    assert output["parameters"] == {"binary_data_size": 24} and list(scores.argmax(axis=1)) == [1, 1]


def test_classes_have_names(caller: Any) -> None:
    requested = [{"name": "probabilities", "parameters": {"classification": 2}}]

    (output,) = infer(caller, tensor(pixels((255, 0, 0)).tolist()), outputs=requested).json["outputs"]

    assert (output["datatype"], output["shape"], output["data"][0].split(":")[1:]) == (
        "BYTES",
        [1, 2],
        ["0", "red"],
    )


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("/v2", {"name": "spyglass"}),
        ("/v2/models/colors", {"name": "colors", "versions": ["1"], "platform": "onnxruntime_onnx"}),
        ("/v2/models/colors/versions/1", {"name": "colors"}),
        ("/v2/models/colors/ready", {"name": "colors", "ready": True}),
        ("/v2/models/colors/config", {"name": "colors", "max_batch_size": 128}),
    ],
)
def test_metadata_is_json(caller: Any, path: str, found: dict[str, Any]) -> None:
    reply = caller.get(path)

    assert reply.status == 200
    assert found.items() <= reply.json.items()


def test_shapes_are_numbers(caller: Any) -> None:
    assert caller.get("/v2/models/colors").json["inputs"][0]["shape"] == [-1, SIZE, SIZE, 3]


def test_health_and_statistics_are_told(caller: Any) -> None:
    for path, found in (("live", {"live": True}), ("ready", {"ready": True})):
        reply = caller.get(f"/v2/health/{path}")
        assert (reply.status, reply.json) == (200, found)
    assert caller.get("/v2/models/other/ready").status == 400
    before = caller.get("/v2/models/colors/stats").json["model_stats"][0]["inference_count"]
    infer(caller, tensor(pixels((1, 2, 3)).tolist()))
    assert caller.get("/v2/models/stats").json["model_stats"][0]["inference_count"] == before + 1


RED = tensor(pixels((255, 0, 0)).tolist())


@pytest.mark.parametrize(
    ("body", "status", "reason"),
    [
        ("", 400, "INPUT_COUNT_INVALID"),
        ("[]", 400, "JSON_INVALID"),
        ("{", 400, "JSON_INVALID"),
        ("[" * 100_000, 400, "JSON_INVALID"),
        ({"inputs": {}}, 400, "JSON_INVALID"),
        ({"inputs": [1]}, 400, "JSON_INVALID"),
        ({"inputs": [RED] * 65}, 400, "JSON_INVALID"),
        ({"inputs": [RED] * 2}, 400, "INPUT_COUNT_INVALID"),
        ({"inputs": [{**RED, "shape": "8"}]}, 400, "JSON_INVALID"),
        ({"inputs": [{**RED, "shape": [-1, 8, 8, 3]}]}, 400, "JSON_INVALID"),
        ({"inputs": [{**RED, "shape": [1] * 100}]}, 400, "JSON_INVALID"),
        ({"inputs": [{**RED, "shape": [1, 8, 8]}]}, 400, "SHAPE_INVALID"),
        ({"inputs": [{**RED, "shape": [2, 8, 8, 3]}]}, 400, "CONTENTS_INVALID"),
        ({"inputs": [{**RED, "shape": [10**18, 8, 8, 3]}]}, 400, "TOO_MANY_IMAGES"),
        ({"inputs": [{**RED, "datatype": "FP32"}]}, 400, "DATATYPE_INVALID"),
        ({"inputs": [{**RED, "datatype": 7}]}, 400, "JSON_INVALID"),
        ({"inputs": [{**RED, "name": "x" * 10_000}]}, 400, "INPUT_UNKNOWN"),
        ({"inputs": [{**RED, "data": [256]}]}, 400, "JSON_INVALID"),
        ({"inputs": [{**RED, "data": [-1]}]}, 400, "JSON_INVALID"),
        ({"inputs": [{**RED, "data": [0.5]}]}, 400, "JSON_INVALID"),
        ({"inputs": [{**RED, "data": [True]}]}, 400, "JSON_INVALID"),
        ({"inputs": [{**RED, "data": [[1, 2], 3]}]}, 400, "JSON_INVALID"),
        ({"inputs": [{**RED, "data": [10**30]}]}, 400, "JSON_INVALID"),
        ({"inputs": [{**RED, "data": "text"}]}, 400, "JSON_INVALID"),
        ({"inputs": [{**RED, "data": None}]}, 400, "JSON_INVALID"),
        ({"inputs": [{**RED, "parameters": {"binary_data_size": 5}}]}, 400, "JSON_INVALID"),
        (
            {"inputs": [{**RED, "parameters": {"shared_memory_region": "x"}}]},
            501,
            "SHARED_MEMORY_UNSUPPORTED",
        ),
        ({"inputs": [tensor(["?"], "BYTES", [1])]}, 400, "JSON_INVALID"),
        ({"inputs": [tensor([], "BYTES", [1])]}, 400, "CONTENTS_INVALID"),
        ({"inputs": [tensor(["AAAA"], "BYTES", [1])]}, 400, "IMAGE_UNRECOGNISED"),
        ({"inputs": [RED], "id": 7}, 400, "JSON_INVALID"),
        ({"inputs": [RED], "id": "x" * 5000}, 400, "ID_TOO_LONG"),
        ({"inputs": [RED], "outputs": [{"name": "other"}]}, 400, "OUTPUT_UNKNOWN"),
        ({"inputs": [RED], "parameters": {"sequence_id": 3}}, 501, "SEQUENCES_UNSUPPORTED"),
        ({"inputs": [RED], "parameters": {"timeout": -3}}, 400, "PARAMETER_INVALID"),
        ({"inputs": [RED], "parameters": {"x": [1]}}, 400, "JSON_INVALID"),
        ({"inputs": [RED], "parameters": {"x": 2**70}}, 400, "JSON_INVALID"),
    ],
    ids=range(37),
)
def test_a_request_that_is_wrong_says_why(caller: Any, body: Any, status: int, reason: str) -> None:
    text = body if isinstance(body, str) else json.dumps(body)

    reply = caller.post(INFER, text, "application/json")

    assert (reply.status, reply.json["reason"]) == (status, reason), reply.body
    assert reply.json["error"] == reply.json["detail"] and len(reply.json["error"]) < 600
    assert caller.get("/v2/health/ready").status == 200


@pytest.mark.parametrize("length", ["x", "-1", "9" * 30, "100000"])
def test_the_length_of_the_json_must_be_that_of_a_part(caller: Any, length: str) -> None:
    reply = caller.post(INFER, b"{}", "application/octet-stream", inference_header_content_length=length)

    assert (reply.status, reply.json["reason"]) == (400, "HEADER_INVALID")


@pytest.mark.parametrize("path", ["/v2/models/other/infer", "/v2/models/colors/versions/7/infer"])
def test_a_model_that_is_not_there(caller: Any, path: str) -> None:
    reply = infer(caller, RED, path=path)

    assert reply.status == 404 and "error" in reply.json


def test_models_are_changed_only_if_the_server_allows_it(
    caller: Any, run_server: Callable[..., Any], callers: Callable[[Any], Any]
) -> None:
    assert caller.post("/v2/repository/models/colors/unload", "", "application/json").status == 501
    (listed,) = caller.post("/v2/repository/index", "", "application/json").json
    assert (listed["name"], listed["version"], listed["state"]) == ("colors", "1", "READY")

    changing = callers(run_server(http_port=0, admin=True))
    assert changing.post("/v2/repository/models/colors/unload", "{}", "application/json").status == 200
    assert changing.get("/v2/models/colors/ready").status == 400
    assert changing.post("/v2/repository/models/colors/load", "{}", "application/json").status == 200
    assert changing.get("/v2/models/colors/ready").status == 200


def test_a_web_page_may_not_change_models(
    run_server: Callable[..., Any], callers: Callable[[Any], Any]
) -> None:
    caller = callers(run_server(http_port=0, admin=True))
    for what in ("load", "unload"):
        reply = caller.post(
            f"/v2/repository/models/colors/{what}", "", "text/plain", origin="http://evil.example"
        )
        assert (reply.status, reply.json["reason"], reply.json["field"]) == (403, "TOKEN_MISSING", "origin")

    assert caller.get("/v2/models/colors/ready").status == 200
