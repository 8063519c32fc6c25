"""Calls to a server that keeps responses: unary and in streams, of every kind, on both ways in grpcio."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from spyglass.inference.v2_pb2 import ModelInferRequest, ModelInferResponse
from spyglass.inference.v2_pb2_grpc import GRPCInferenceServiceStub
from spyglass.v1.admin_pb2 import RollbackRequest, SetLabelRequest
from spyglass.v1.admin_pb2_grpc import AdminStub
from spyglass.v1.classify_pb2 import ClassifyRequest
from spyglass.v1.heatmap_pb2 import (
    HEATMAP_FORMAT_FLOAT32,
    HEATMAP_FORMAT_PNG_GRAY,
    HEATMAP_FORMAT_PNG_OVERLAY,
    MAP_SIZE_AS_IMAGE,
    MAP_SIZE_AS_MODEL,
    HeatmapRequest,
    HeatmapTarget,
)
from spyglass.v1.image_pb2 import Image
from spyglass.v1.model_pb2 import ModelRef
from spyglass.v1.reply_pb2 import Timing
from spyglass.v1.segment_pb2 import (
    MASK_FORMAT_PNG_OVERLAY,
    MASK_FORMAT_RLE,
    MASK_FORMAT_RLE_COMPRESSED,
    MASK_SIZE_AS_MODEL,
    Refinement,
    SegmentRequest,
)
from spyglass_server import local_client
from tiny_classifier import tiny_card, write_tiny_model

PATIENCE = 30
LIMIT = 16 * 1024 * 1024
COLORS, PAD = ModelRef(name="colors"), ModelRef(name="pad")
CALLS = {
    "classify": ("Classify", ClassifyRequest(model=COLORS)),
    "classify top": ("Classify", ClassifyRequest(model=COLORS, top_k=2)),
    "heatmap": ("Heatmap", HeatmapRequest(model=COLORS)),
    "heatmaps": (
        "Heatmap",
        HeatmapRequest(
            model=COLORS,
            class_index=0,
            further=[HeatmapTarget(class_name="blue")],
            format=HEATMAP_FORMAT_FLOAT32,
            size=MAP_SIZE_AS_IMAGE,
        ),
    ),
    "grey": ("Heatmap", HeatmapRequest(model=COLORS, format=HEATMAP_FORMAT_PNG_GRAY)),
    "overlay": (
        "Heatmap",
        HeatmapRequest(model=COLORS, format=HEATMAP_FORMAT_PNG_OVERLAY, size=MAP_SIZE_AS_MODEL),
    ),
    "mask": ("Segment", SegmentRequest(model=PAD)),
    "soft": ("Segment", SegmentRequest(model=PAD, soft_class_index=0, size=MASK_SIZE_AS_MODEL)),
    "runs": ("Segment", SegmentRequest(model=PAD, format=MASK_FORMAT_RLE)),
    "packed runs": ("Segment", SegmentRequest(model=PAD, format=MASK_FORMAT_RLE_COMPRESSED)),
    "drawn": ("Segment", SegmentRequest(model=PAD, format=MASK_FORMAT_PNG_OVERLAY)),
    "refined": ("Segment", SegmentRequest(model=PAD, refine=[Refinement(class_index=1, fill_holes=True)])),
}


@pytest.fixture(scope="module")
def models(
    tmp_path_factory: pytest.TempPathFactory, explaining_models: Path, segmenting_models: Path
) -> Path:
    root = tmp_path_factory.mktemp("cached")
    shutil.copytree(segmenting_models / "pad", root / "pad")
    shutil.copytree(explaining_models / "colors", root / "colors")
    return root


@pytest.fixture(params=["direct", pytest.param("on threads", marks=pytest.mark.slow)])
def caching(
    request: pytest.FixtureRequest,
    run_server: Callable[..., Any],
    models: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Any:
    """A server that keeps responses, with metrics; with the private names of grpcio, and without them."""
    if request.param == "on threads":
        monkeypatch.setattr("spyglass_server.servicers.direct.calls.is_known", lambda: False)
    return run_server(models=models, response_cache_bytes=LIMIT, metrics_port=0)


def metrics(server: Any) -> dict[str, float]:
    """Return the metrics of the cache by the rest of their names."""
    with urlopen(f"http://localhost:{server.server.metrics_port}/metrics", timeout=PATIENCE) as page:
        lines = page.read().decode().splitlines()
    prefix = "spyglass_response_cache_"
    found = [line.removeprefix(prefix).split() for line in lines if line.startswith(prefix)]
    return {name: float(value) for name, value in found}


def test_a_kept_response_is_the_response_of_the_network(
    caching: Any, gradient_image: Any, encode: Callable[..., bytes]
) -> None:
    image = Image(encoded=encode(gradient_image))
    for method, request in CALLS.values():
        call = getattr(caching.vision, method)
        request.image.CopyFrom(image)
        first = call(request, timeout=PATIENCE)
        second = call(request, timeout=PATIENCE)

        assert (first.timing.cached, second.timing) == (False, Timing(cached=True))
        first.ClearField("timing")
        second.ClearField("timing")
        assert second == first

    found = metrics(caching)
    count = len(CALLS)
    assert (found["hits_total"], found["misses_total"], found["evictions_total"]) == (count, count, 0)
    assert found["responses"] == count
    assert 0 < found["bytes"] < found["limit_bytes"] == LIMIT


@pytest.mark.parametrize("ordered", [False, True])
def test_the_messages_of_a_stream_get_kept_responses(
    caching: Any, color_image: Callable[..., bytes], ordered: bool
) -> None:
    names = ["red", "green", "blue"] * 20

    def requests() -> Iterator[ClassifyRequest]:
        for index, name in enumerate(names):
            image = Image(encoded=color_image(name))
            yield ClassifyRequest(id=f"id {index}", index=index, image=image, model=COLORS)

    metadata = [("x-ordered", str(ordered).lower())]
    responses = list(caching.vision.ClassifyStream(requests(), timeout=PATIENCE, metadata=metadata))

    assert sorted(response.index for response in responses) == list(range(60))
    if ordered:
        assert [response.index for response in responses] == list(range(60))
    for response in responses:
        assert response.classes[0].name == names[response.index]
        assert response.id == f"id {response.index}"
    # Equal images that run at the same time each run the network: the server has one worker.
    assert sum(not response.timing.cached for response in responses) == 3


def test_outputs_of_the_open_inference_protocol_are_kept(
    caching: Any, color_image: Callable[..., bytes]
) -> None:
    stub = GRPCInferenceServiceStub(caching.channel)

    def infer(*colors: str) -> ModelInferResponse:
        request = ModelInferRequest(model_name="colors", id=f"for {colors}")
        tensor = request.inputs.add(name="image", datatype="BYTES", shape=[len(colors)])
        tensor.contents.bytes_contents.extend(color_image(color) for color in colors)
        return stub.ModelInfer(request, timeout=PATIENCE)

    first, second = infer("red", "blue"), infer("red", "blue")
    part, mixed = infer("blue"), infer("blue", "green")

    assert "cached" not in first.parameters and "cached" not in mixed.parameters
    assert second.parameters["cached"].bool_param and part.parameters["cached"].bool_param
    assert second.id == "for ('red', 'blue')"
    assert second.raw_output_contents == first.raw_output_contents
    assert part.raw_output_contents[0] == first.raw_output_contents[0][12:]


def test_a_response_that_was_kept_for_a_call_serves_a_stream(
    caching: Any, color_image: Callable[..., bytes]
) -> None:
    request = ClassifyRequest(image=Image(encoded=color_image("red")), model=COLORS)
    caching.vision.Classify(request, timeout=PATIENCE)

    (response,) = caching.vision.ClassifyStream(iter([request]), timeout=PATIENCE)

    assert response.timing.cached


def test_after_a_change_of_versions_every_response_is_of_the_version_that_serves(
    run_server: Callable[..., Any], tmp_path: Path, color_image: Callable[..., bytes]
) -> None:
    for version in (1, 2):
        write_tiny_model(tmp_path, tiny_card("colors", version))
    server = run_server(models=tmp_path, versions="all", admin=True, response_cache_bytes=LIMIT)
    admin = AdminStub(server.channel)
    request = ClassifyRequest(image=Image(encoded=color_image("red")), model=COLORS)

    def answered() -> tuple[int, bool]:
        response = server.vision.Classify(request, timeout=PATIENCE)
        return response.served_by.version, response.timing.cached

    found = [answered()]
    for version in (1, 2, 1):
        admin.SetLabel(SetLabelRequest(name="colors", label="stable", version=version), timeout=PATIENCE)
        found += [answered(), answered()]
    admin.Rollback(RollbackRequest(name="colors"), timeout=PATIENCE)
    found.append(answered())

    assert found == [
        (2, False),
        *((1, False), (1, True)),
        *((2, True), (2, True)),
        *((1, True), (1, True)),
        (2, True),
    ]


def test_without_the_setting_nothing_is_kept_and_counted(
    run_server: Callable[..., Any], color_image: Callable[..., bytes]
) -> None:
    server = run_server(metrics_port=0)
    request = ClassifyRequest(image=Image(encoded=color_image("red")))

    responses = [server.vision.Classify(request, timeout=PATIENCE) for _ in range(2)]

    assert not any(response.timing.cached for response in responses)
    assert metrics(server) == {}


def test_a_local_client_keeps_results_if_it_is_told_to(
    models: Path, color_image: Callable[..., bytes]
) -> None:
    with local_client(models, response_cache_bytes=LIMIT) as client:
        first, second = (client.classify(color_image("red"), model="colors", id=name) for name in "ab")
        (third,) = client.classify_many([color_image("red")], model="colors")

    assert [result.timing.cached for result in (first, second, third)] == [False, True, True]
    assert first.classes == second.classes == third.classes
    assert second.id == "b"
    assert "cached" not in first.to_dict()
    assert second.to_dict()["cached"] is True
