"""Calls that succeed, over a real socket."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spyglass.v1.classify_pb2 import ClassifyRequest
from spyglass.v1.image_pb2 import Image, RawImage
from spyglass.v1.model_pb2 import (
    TASK_CLASSIFY,
    TASK_UNSPECIFIED,
    GetModelRequest,
    ListModelsRequest,
    ModelCard,
    ModelRef,
)

MakeImage = Callable[..., bytes]


def request_for(image: bytes, **fields: object) -> ClassifyRequest:
    return ClassifyRequest(image=Image(encoded=image), **fields)


def raw(pixels: np.ndarray) -> RawImage:
    height, width, channels = pixels.shape
    return RawImage(height=height, width=width, channels=channels, data=pixels.tobytes())


def test_an_image_is_classified(server: Any, color_image: MakeImage, tiny_models: Path) -> None:
    reply = server.vision.Classify(request_for(color_image("green"), id="mine"))

    assert reply.id == "mine"
    assert [(score.index, score.name) for score in reply.classes] == [(1, "green"), (0, "red"), (2, "blue")]
    assert reply.classes[0].score > 0.99
    assert (reply.served_by.model, reply.served_by.version) == ("colors", 1)
    assert reply.served_by.provider == "CPUExecutionProvider"
    file = (tiny_models / "colors/1/model.onnx").read_bytes()
    assert reply.served_by.sha256 == hashlib.sha256(file).hexdigest()
    assert not reply.HasField("error")


def test_a_response_has_the_time_of_each_step(server: Any, color_image: MakeImage) -> None:
    timing = server.vision.Classify(request_for(color_image("red"))).timing

    assert timing.decode_ms > 0
    assert timing.inference_ms > 0
    assert timing.queue_ms >= 0
    assert timing.batch_size == 1


@pytest.mark.parametrize("shape", [(12, 20, 1), (12, 20, 3), (12, 20, 4), (1, 1, 3)])
def test_raw_pixels_are_classified(server: Any, shape: tuple[int, int, int]) -> None:
    pixels = np.full(shape, 255, np.uint8)

    reply = server.vision.Classify(ClassifyRequest(image=Image(raw=raw(pixels))))

    assert [score.score for score in reply.classes] == pytest.approx([1 / 3] * 3)


@pytest.mark.parametrize(
    "model", [ModelRef(), ModelRef(name="colors"), ModelRef(name="colors", version=1)], ids=str
)
def test_a_model_is_named_with_or_without_version_or_label(
    server: Any, color_image: MakeImage, model: ModelRef
) -> None:
    assert server.vision.Classify(request_for(color_image("red"), model=model)).served_by.version == 1


def test_the_response_has_top_k_classes(server: Any, color_image: MakeImage) -> None:
    assert len(server.vision.Classify(request_for(color_image("red"), top_k=2)).classes) == 2


def test_the_response_has_the_request_id_of_the_caller(server: Any, color_image: MakeImage) -> None:
    _, call = server.vision.Classify.with_call(
        request_for(color_image("red")), metadata=[("x-request-id", "order-7")]
    )

    assert ("x-request-id", "order-7") in call.trailing_metadata()


def test_a_call_without_a_request_id_gets_one(server: Any, color_image: MakeImage) -> None:
    _, call = server.vision.Classify.with_call(request_for(color_image("red")))

    assert re.fullmatch("[0-9a-f]{32}", dict(call.trailing_metadata())["x-request-id"])


def test_the_models_are_listed(server: Any) -> None:
    (served,) = server.vision.ListModels(ListModelsRequest()).models

    assert (served.name, served.version, served.task) == ("colors", 1, TASK_CLASSIFY)
    assert (served.class_count, served.is_default) == (3, True)
    assert (served.workers, served.threads_per_worker, served.max_batch) == (1, 1, 1)
    assert served.provider == "CPUExecutionProvider"
    assert re.fullmatch("[0-9a-f]{64}", served.sha256)


def test_a_model_shows_its_card(server: Any, make_card: Callable[..., ModelCard]) -> None:
    reply = server.vision.GetModel(GetModelRequest(model=ModelRef(name="colors")))

    expected = make_card()
    expected.certificate.ClearField("images")
    expected.certificate.ClearField("tensors")
    assert reply.card == expected
    assert reply.served.name == "colors"


def test_a_model_shows_its_golden_inputs_on_request(server: Any, make_card: Callable[..., ModelCard]) -> None:
    reply = server.vision.GetModel(GetModelRequest(model=ModelRef(name="colors"), with_golden=True))

    assert reply.card == make_card()


@pytest.mark.parametrize("task", [TASK_UNSPECIFIED, TASK_CLASSIFY])
def test_an_empty_reference_shows_the_default_model(server: Any, task: Any) -> None:
    assert server.vision.GetModel(GetModelRequest(task=task)).served.name == "colors"
    assert server.vision.GetModel(GetModelRequest(model=ModelRef(), task=task)).card.name == "colors"


def test_all_versions_are_served_if_the_setting_says_so(
    run_server: Callable[..., Any],
    make_card: Callable[..., ModelCard],
    make_model: Callable[..., Path],
    tmp_path: Path,
    color_image: MakeImage,
) -> None:
    for name, version in (("colors", 1), ("colors", 2), ("paints", 3)):
        make_model(make_card(name, version))
    latest = run_server(models=tmp_path / "models")
    everything = run_server(models=tmp_path / "models", versions="all", default_model=["paints", "colors"])

    def listed(server: Any) -> list[tuple[str, int, bool]]:
        models = server.vision.ListModels(ListModelsRequest()).models
        return [(model.name, model.version, model.is_default) for model in models]

    assert listed(latest) == [("colors", 2, False), ("paints", 3, False)]
    assert listed(everything) == [("colors", 1, False), ("colors", 2, False), ("paints", 3, True)]
    old = ModelRef(name="colors", version=1)
    assert everything.vision.Classify(request_for(color_image("red"), model=old)).served_by.version == 1
