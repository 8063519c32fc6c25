"""The bundled models on a real server."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse

from spyglass.v1.image_pb2 import Image, RawImage
from spyglass.v1.model_pb2 import ListModelsRequest, ModelRef

DIGITS = ModelRef(name="mnist-convnet")


def names(reply: Any) -> list[str]:
    return [score.name for score in reply.classes]


@pytest.mark.parametrize(
    "name", ["", "spyglass.v1.Vision", "imagenet", "mnist-convnet", "defects", "foreground"]
)
def test_the_server_and_its_models_are_healthy(service: Any, name: str) -> None:
    assert service.health.Check(HealthCheckRequest(service=name)).status == HealthCheckResponse.SERVING


def test_the_models_are_listed(service: Any) -> None:
    models = {model.name: model for model in service.vision.ListModels(ListModelsRequest()).models}

    counts = {"imagenet": 1000, "mnist-convnet": 10, "defects": 2, "foreground": 3}
    assert {name: model.class_count for name, model in models.items()} == counts
    # There is one default model for each task.
    assert {name for name, model in models.items() if model.is_default} == {"imagenet", "foreground"}


def test_the_cat_is_classified_as_a_cat(service: Any, chelsea: bytes) -> None:
    best = names(service.classify(chelsea, top_k=3))

    assert any("cat" in name.lower() or "tabby" in name.lower() or "lynx" in name.lower() for name in best)


def test_the_coffee_is_classified_as_espresso_or_a_cup(service: Any, coffee: bytes) -> None:
    best = names(service.classify(coffee, top_k=3))

    assert any("espresso" in name.lower() or "cup" in name.lower() for name in best)


def test_every_format_of_an_image_gets_similar_classes(service: Any, cat_files: dict[str, bytes]) -> None:
    classes = {kind: names(service.classify(data, top_k=5)) for kind, data in cat_files.items()}

    for kind in ("png", "bmp", "tiff", "lzw", "lossless"):
        assert classes[kind] == classes["png"]
    assert all(set(best) & set(classes["png"]) for best in classes.values())


def test_a_drawn_digit_one_is_classified_as_one(service: Any) -> None:
    pixels = np.zeros((28, 28), np.uint8)
    pixels[4:24, 13:16] = 255

    image = Image(raw=RawImage(height=28, width=28, channels=1, data=pixels.tobytes()))

    assert names(service.classify(image, model=DIGITS, top_k=1)) == ["1"]
