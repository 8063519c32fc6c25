"""Costs and receptive fields equal published figures, for Keras and ONNX alike."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("keras")
pytest.importorskip("onnx")

import keras
from keras import layers

from spyglass_contract.errors import FailedPrecondition, ModelError, NotFound
from spyglass_training.inspect.arithmetic import Row
from spyglass_training.inspect.keras_summary import summarise
from spyglass_training.inspect.onnx_summary import summarise_file
from spyglass_training.models import find_architecture

pytestmark = pytest.mark.training


def by_name(rows: list[Row]) -> dict[str, Row]:
    return {row.name: row for row in rows}


def test_lenet_has_the_figures_of_the_lecture() -> None:
    architecture = find_architecture("lenet5")
    rows = summarise(architecture.build(architecture.input, 10))
    with_weights = [row for row in rows if row.parameters]
    assert [row.parameters for row in with_weights] == [156, 2416, 48120, 10164, 850]
    assert [row.multiply_adds for row in with_weights] == [117_600, 240_000, 48_000, 10_080, 840]
    assert [row.shape for row in with_weights] == [(28, 28, 6), (10, 10, 16), (120,), (84,), (10,)]
    spatial = [str(row.receptive_field) for row in rows if len(row.shape) == 3]
    assert spatial == ["1×1", "5×5", "6×6", "14×14", "16×16"]
    assert {str(row.receptive_field) for row in rows if len(row.shape) == 1} == {"all"}


def test_vgg16_has_the_figures_of_the_paper() -> None:
    rows = summarise(keras.applications.VGG16(weights=None, include_top=False, input_shape=(224, 224, 3)))
    assert sum(row.parameters for row in rows) == 14_714_688
    # With the three dense layers this is the commonly published 15.5 billion.
    dense = 25088 * 4096 + 4096 * 4096 + 4096 * 1000
    assert sum(row.multiply_adds or 0 for row in rows) + dense == 15_470_264_320
    fields = [str(row.receptive_field) for row in rows]
    sides = [3, 5, 6, 10, 14, 16, 24, 32, 40, 44, 60, 76, 92, 100, 132, 164, 196, 212]
    assert fields == [f"{side}×{side}" for side in sides]
    convolutions = [row.multiply_adds for row in rows if row.kind == "Conv2D"]
    assert convolutions[:3] == [86_704_128, 1_849_688_064, 924_844_032]


def test_every_kind_of_convolution_has_its_own_cost() -> None:
    image = keras.Input((20, 30, 4))
    x = layers.Conv2D(8, (3, 5), strides=(2, 1), padding="same", groups=2, use_bias=False, name="grouped")(
        image
    )
    x = layers.DepthwiseConv2D(3, padding="same", depth_multiplier=2, use_bias=False, name="depthwise")(x)
    x = layers.SeparableConv2D(6, 3, padding="same", use_bias=False, name="separable")(x)
    x = layers.Conv2D(6, 3, dilation_rate=2, padding="same", use_bias=False, name="dilated")(x)
    x = layers.Conv2DTranspose(5, 4, strides=2, padding="same", use_bias=False, name="transposed")(x)
    x = layers.Dense(7, use_bias=False, name="everywhere")(x)
    rows = by_name(summarise(keras.Model(image, x)))
    assert {name: row.multiply_adds for name, row in rows.items()} == {
        "grouped": 10 * 30 * 8 * 15 * 2,
        "depthwise": 10 * 30 * 16 * 9,
        "separable": 10 * 30 * 16 * 9 + 10 * 30 * 16 * 6,
        "dilated": 10 * 30 * 6 * 9 * 6,
        "transposed": 10 * 30 * 6 * 16 * 5,
        "everywhere": 20 * 60 * 7 * 5,
    }
    # Strides of 2 down and 1 across, until the transposed convolution halves them.
    assert [str(row.receptive_field) for row in rows.values()] == [
        "3×5",
        "7×7",
        "11×9",
        "19×13",
        "21×14",
        "21×14",
    ]


def test_joined_branches_have_the_wider_field_and_shared_weights_count_once() -> None:
    image = keras.Input((16, 16, 4))
    shared = layers.Conv2D(4, 3, padding="same", name="shared")
    twice = layers.Add(name="meet")([shared(shared(image)), image])
    squeezed = layers.GlobalAveragePooling2D(keepdims=True, name="squeeze")(twice)
    excited = layers.Multiply(name="excite")([twice, squeezed])
    rows = summarise(keras.Model(image, excited))
    assert [(row.name, str(row.receptive_field), row.parameters) for row in rows] == [
        ("shared", "3×3", 148),
        ("shared", "5×5", 0),
        ("meet", "5×5", 0),
        ("squeeze", "all", 0),
        ("excite", "all", 0),
    ]


def test_a_nested_network_is_expanded(classifier: keras.Model) -> None:
    rows = by_name(summarise(classifier))
    assert list(rows) == ["rescaling", "outside", "pool", "inner/inside", "mean", "probabilities"]
    assert str(rows["inner/inside"].receptive_field) == "8×8"
    assert sum(row.parameters for row in rows.values()) == classifier.count_params()


@pytest.mark.parametrize("name", ["mnist-convnet", "imagenet"])
def test_an_exported_file_has_the_costs_and_fields_of_the_network(
    bundled_file: Callable[[str], Path], name: str
) -> None:
    architecture = find_architecture({"imagenet": "efficientnet-lite0"}.get(name, name))
    classes = 1000 if name == "imagenet" else 10
    expected = summarise(architecture.build(architecture.input, classes))
    found = summarise_file(bundled_file(name))
    assert sum(row.multiply_adds or 0 for row in found) == sum(row.multiply_adds or 0 for row in expected)
    convolutions = {
        kind: [str(row.receptive_field) for row in rows if "Conv" in row.kind]
        for kind, rows in (("onnx", found), ("keras", expected))
    }
    assert convolutions["onnx"] == convolutions["keras"]
    if name == "mnist-convnet":
        assert sum(row.parameters for row in found) == 93_322
    assert found[-1].shape == (classes,) and str(found[-1].receptive_field) == "all"


def test_files_that_are_not_networks_are_rejected(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        summarise_file(tmp_path / "nowhere.onnx")
    (tmp_path / "text.onnx").write_text("no network")
    with pytest.raises(ModelError, match=r"text\.onnx"):
        summarise_file(tmp_path / "text.onnx")

    class Subclassed(keras.Model):
        pass

    with pytest.raises(FailedPrecondition, match="must be built of layers"):
        summarise(Subclassed())
