"""`Client.heatmap` and `AsyncClient.heatmap`, against a real server."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as PillowImage

from spyglass.v1.heatmap_pb2 import (
    HEATMAP_FORMAT_PNG_OVERLAY,
    MAP_SIZE_AS_IMAGE,
    HeatmapData,
    HeatmapRequest,
)
from spyglass.v1.image_pb2 import Image
from spyglass.v1.vision_pb2_grpc import VisionStub
from spyglass_client import Classification, FailedPrecondition, Failure, Heatmap, InvalidInput
from spyglass_contract.errors import InternalError
from spyglass_contract.heatmaps.overlay import draw_overlay

Connect = Callable[..., Any]


@pytest.fixture
def client(explaining_server: str, connect: Connect) -> Any:
    return connect(explaining_server)


@pytest.fixture
def image(gradient_image: PillowImage.Image, encode: Callable[..., bytes]) -> bytes:
    return encode(gradient_image)


def drawn_by_the_server(target: str, **fields: Any) -> HeatmapData:
    with grpc.insecure_channel(target) as channel:
        return VisionStub(channel).Heatmap(HeatmapRequest(**fields)).heatmap


def pixels_of(image: PillowImage.Image) -> NDArray[np.uint8]:
    return np.asarray(image)


def test_a_heatmap_names_the_class_and_the_layer_that_it_explains(client: Any, image: bytes) -> None:
    heat = client.heatmap(image, target="red", top_k=2, id="why")
    assert heat.target.name == "red"
    assert heat.layer == "floats"
    assert heat.feature_map.shape == (8, 8)
    assert (heat.width, heat.height) == (40, 20)
    assert not heat.all_zero
    assert heat.id == "why"
    assert heat.error is None


def test_a_heatmap_of_another_image_is_not_drawn(client: Any, image: bytes) -> None:
    heat = dataclasses.replace(client.heatmap(image), width=100_000, height=100_000)
    with pytest.raises(InternalError, match="another image"):
        heat.overlay()


def test_a_heatmap_is_also_a_classification(client: Any, image: bytes) -> None:
    heat, result = client.heatmap(image), client.classify(image)
    assert isinstance(heat, Classification)
    assert heat.classes == result.classes
    assert heat.best == heat.target == result.best
    assert heat.model == result.model


def test_the_map_equals_that_of_the_server_for_size_image(
    client: Any, explaining_server: str, image: bytes
) -> None:
    theirs = drawn_by_the_server(
        explaining_server, image=Image(encoded=image), class_index=0, size=MAP_SIZE_AS_IMAGE
    )
    heat = client.heatmap(image, target=0)
    assert heat.map.dtype == np.float32
    np.testing.assert_array_equal(heat.map, np.frombuffer(theirs.data, "<f4").reshape(20, 40))


def test_the_overlay_equals_that_of_the_server(client: Any, explaining_server: str, image: bytes) -> None:
    theirs = drawn_by_the_server(
        explaining_server,
        image=Image(encoded=image),
        class_index=0,
        format=HEATMAP_FORMAT_PNG_OVERLAY,
    )
    overlay = client.heatmap(image, target=0).overlay()
    np.testing.assert_array_equal(pixels_of(overlay), pixels_of(PillowImage.open(io.BytesIO(theirs.data))))


def test_a_path_an_image_and_an_array_have_the_same_overlay(
    client: Any, gradient_image: PillowImage.Image, image: bytes, tmp_path: Path
) -> None:
    path = tmp_path / "image.png"
    path.write_bytes(image)
    overlays = [
        pixels_of(client.heatmap(kind, target="green").overlay())
        for kind in (image, path, gradient_image, np.asarray(gradient_image))
    ]
    for overlay in overlays[1:]:
        np.testing.assert_array_equal(overlay, overlays[0])


def test_a_grey_array_is_drawn_over_in_colours(client: Any) -> None:
    grey = np.full((20, 40), 90, np.uint8)
    heat = client.heatmap(grey)
    expected = draw_overlay(PillowImage.fromarray(grey).convert("RGB"), heat.map)
    np.testing.assert_array_equal(pixels_of(heat.overlay()), pixels_of(expected))


def test_an_image_with_an_exif_rotation_is_drawn_upright(
    client: Any, gradient_image: PillowImage.Image, encode: Callable[..., bytes]
) -> None:
    exif = PillowImage.Exif()
    exif[0x0112] = 6
    turned = encode(gradient_image.transpose(PillowImage.Transpose.ROTATE_90), exif=exif)
    heat = client.heatmap(turned, target="red")
    expected = draw_overlay(gradient_image, heat.map)
    assert heat.map.shape == (20, 40)
    np.testing.assert_array_equal(pixels_of(heat.overlay()), pixels_of(expected))


def test_further_classes_have_their_own_maps(client: Any, image: bytes) -> None:
    heat = client.heatmap(image, target="red", further=["green", 2])
    assert [each.target.name for each in heat.explained] == ["red", "green", "blue"]
    assert heat.explained[0] is heat
    alone = client.heatmap(image, target="green")
    np.testing.assert_allclose(heat.further[0].map, alone.map, atol=1e-6)
    assert heat.further[1].all_zero
    assert heat.further[1].overlay().size == (40, 20)


def test_json_has_the_layer_and_the_targets(client: Any, image: bytes) -> None:
    fields = client.heatmap(image, target="red", further=["blue"], top_k=1).to_dict()
    assert fields["layer"] == "floats"
    assert [(each["target"]["name"], each["all_zero"]) for each in fields["heatmaps"]] == [
        ("red", False),
        ("blue", True),
    ]
    assert len(fields["classes"]) == 1


def test_many_images_are_explained_in_order_with_failures_in_their_places(client: Any, image: bytes) -> None:
    counted: list[int] = []
    images = [image, b"text", image, "missing.png", image] * 5
    results = list(client.heatmap_many(images, target="green", window=4, progress=counted.append))
    assert [type(result) for result in results] == [Heatmap, Failure, Heatmap, Failure, Heatmap] * 5
    assert {result.target.name for result in results if isinstance(result, Heatmap)} == {"green"}
    assert counted == list(range(1, 26))


@pytest.mark.parametrize("target", ["violet", 3])
def test_an_unknown_class_is_an_error(client: Any, image: bytes, target: int | str) -> None:
    with pytest.raises(InvalidInput) as caught:
        client.heatmap(image, target=target)
    assert caught.value.reason == "CLASS_UNKNOWN"


def test_an_invalid_index_is_rejected_before_it_is_sent(connect: Connect) -> None:
    with pytest.raises(InvalidInput):
        connect("localhost:1").heatmap(b"", further=[-1])


def test_a_model_without_heatmaps_is_an_error(client: Any, image: bytes) -> None:
    with pytest.raises(FailedPrecondition) as caught:
        client.heatmap(image, model="plain")
    assert caught.value.reason == "HEATMAP_MISSING"


def test_the_client_draws_images_that_are_too_large_for_maps_of_the_server(
    client: Any, color_image: Callable[..., bytes]
) -> None:
    overlay = client.heatmap(color_image("red", (2100, 2100))).overlay()
    assert overlay.size == (2100, 2100)
