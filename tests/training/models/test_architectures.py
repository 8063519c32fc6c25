"""Every architecture has the size, the input and the output that its source states."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("tensorflow")

import keras

from spyglass.v1.model_pb2 import COLOR_MODE_GREY, COLOR_MODE_RGB, TASK_SEGMENT, InputSpec
from spyglass_contract.errors import InvalidInput, NotFound
from spyglass_contract.model.card import validate_input
from spyglass_contract.model.certificate import golden_tensor
from spyglass_training.models import ARCHITECTURES, Architecture, find_architecture
from spyglass_training.models.parts.image_input import photograph

pytestmark = [pytest.mark.training, pytest.mark.slow]

EVERY = pytest.mark.parametrize("architecture", ARCHITECTURES.values(), ids=ARCHITECTURES)

# Classes, and the parameters that the source states or that follow by arithmetic.
PARAMETERS = {
    "lenet5": (10, 61_706),
    "simple-cnn": (10, 433_290),
    "mnist-convnet": (10, 93_322),
    "mnist-convnet-functional": (10, 104_202),
    "mnist-convnet-no-pooling": (10, 712_202),
    "cats-dogs-convnet": (2, 991_041),
    "vgg16-features": (2, 17_992_001),
    "vgg16-finetune": (2, 17_992_001),
    "small-resnet": (2, 297_697),
    "mini-xception": (2, 721_857),
    "pet-segmentation": (3, 2_880_643),
    "xception": (1000, 22_910_480),
    "efficientnet-v2-b0": (1000, 7_200_312),
    # 4,652,008 trained parameters, as its authors state, and two moving averages for each of 21,008 channels.
    "efficientnet-lite0": (1000, 4_694_024),
}


def resized(spec: InputSpec, height: int, width: int, color_mode: int) -> InputSpec:
    changed = InputSpec()
    changed.CopyFrom(spec)
    changed.height, changed.width, changed.color_mode = height, width, color_mode  # type: ignore[assignment]
    return changed


@EVERY
def test_an_architecture_has_the_number_of_parameters_its_source_states(architecture: Architecture) -> None:
    classes, parameters = PARAMETERS[architecture.name]
    assert architecture.build(architecture.input, classes).count_params() == parameters


@EVERY
def test_an_architecture_takes_uint8_pixels_and_outputs_probabilities(
    architecture: Architecture,
) -> None:
    validate_input(architecture.input)
    spec = resized(architecture.input, 96, 80, architecture.input.color_mode)
    model = architecture.build(spec, 7)
    assert [(each.name, each.dtype) for each in model.inputs] == [(architecture.input.tensor, "uint8")]
    (probabilities,) = np.asarray(model(golden_tensor(0, spec), training=False))
    assert probabilities.shape == ((96, 80, 7) if architecture.task == TASK_SEGMENT else (7,))
    assert probabilities.dtype == np.float32 and (probabilities >= 0).all()
    np.testing.assert_allclose(probabilities.sum(axis=-1), 1, atol=1e-5)


@EVERY
@pytest.mark.parametrize("color_mode", [COLOR_MODE_GREY, COLOR_MODE_RGB], ids=["grey", "rgb"])
def test_two_classes_get_one_sigmoid_output_in_either_colour_mode(
    architecture: Architecture, color_mode: int
) -> None:
    model = architecture.build(resized(architecture.input, 96, 80, color_mode), 2)
    assert model.input_shape == (None, 96, 80, 1 if color_mode == COLOR_MODE_GREY else 3)
    if architecture.task == TASK_SEGMENT:
        assert model.output_shape == (None, 96, 80, 2)
    else:
        assert model.output_shape == (None, 1)
        assert model.layers[-1].activation is keras.activations.sigmoid


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("lenet5", [156, 2_416, 48_120, 10_164, 850]),
        ("simple-cnn", [640, 432_650]),
        ("mnist-convnet", [320, 18_496, 36_928, 36_928, 650]),
        ("mnist-convnet-functional", [320, 18_496, 73_856, 11_530]),
        ("mnist-convnet-no-pooling", [320, 18_496, 73_856, 619_530]),
        (
            "vgg16-features",
            [1_792, 36_928, 73_856, 147_584, 295_168, 590_080, 590_080, 1_180_160]
            + [2_359_808] * 5
            + [3_277_056, 257],
        ),
    ],
)
def test_each_layer_has_the_parameters_of_the_published_table(name: str, expected: list[int]) -> None:
    architecture = find_architecture(name)
    model = architecture.build(architecture.input, PARAMETERS[name][0])
    assert [layer.count_params() for layer in model.layers if layer.weights] == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("lenet5", [(28, 6), (14, 6), (10, 16), (5, 16)]),
        (
            "vgg16-features",
            [(180, 64), (180, 64), (90, 64), (90, 128), (90, 128), (45, 128)]
            + [(45, 256)] * 3
            + [(22, 256)]
            + [(22, 512)] * 3
            + [(11, 512)] * 4
            + [(5, 512)],
        ),
    ],
)
def test_each_map_has_the_size_and_channels_of_the_published_table(
    name: str, expected: list[tuple[int, int]]
) -> None:
    architecture = find_architecture(name)
    layers = architecture.build(architecture.input, 2).layers
    maps = [layer.output.shape for layer in layers if "conv" in layer.name or "pool" in layer.name]
    assert maps == [(None, side, side, channels) for side, channels in expected]


AUGMENTED = {name: each for name, each in ARCHITECTURES.items() if "augment" in each.choices}


# Range of the values that enter the augmentation; 0 to 1 for the other networks.
RANGES = {"xception": (-1.0, 1.0), "efficientnet-v2-b0": (0.0, 255.0)}


@pytest.mark.parametrize("kind", ["photograph", "part"])
@pytest.mark.parametrize("architecture", AUGMENTED.values(), ids=AUGMENTED)
def test_augmentation_acts_in_training_only_and_keeps_the_range(
    architecture: Architecture, kind: str
) -> None:
    keras.utils.set_random_seed(0)
    spec = resized(architecture.input, 80, 80, architecture.input.color_mode)
    model = architecture.build(spec, 2, augment=kind)
    pixels = golden_tensor(0, spec)
    augmentation = [layer for layer in model.layers if layer.name.startswith("augment_")]
    changed = keras.Model(model.input, augmentation[-1].output)
    one, other = (np.asarray(changed(pixels, training=True)) for _ in range(2))
    least, greatest = RANGES.get(architecture.name, (0.0, 1.0))
    assert np.abs(one - other).mean() > 0.01 * (greatest - least)
    assert least - 1e-5 <= one.min() and one.max() <= greatest + 1e-5
    np.testing.assert_array_equal(model(pixels, training=False), model(pixels, training=False))


def test_choices_reach_the_builder_and_unknown_ones_are_rejected() -> None:
    architecture = find_architecture("mini-xception")
    assert architecture.choices == {"augment": "none", "dropout": 0.5, "batch_norm_momentum": 0.99}
    model = architecture.build(architecture.input, 2, dropout=0.25, batch_norm_momentum=0.9)
    assert model.get_layer("dropout").rate == 0.25
    assert model.get_layer("block3_bn2").momentum == 0.9
    with pytest.raises(InvalidInput, match=r"no option depth; its options are: augment, dropout"):
        architecture.build(architecture.input, 2, depth=3)


def test_the_shortcut_of_the_small_resnet_is_a_convolution_of_stride_two() -> None:
    model = find_architecture("small-resnet").build(photograph(33), 2)
    found = keras.Model(model.input, model.get_layer("block1_shortcut").output)
    convolution = keras.layers.Conv2D(32, 1, strides=2)
    pixels = golden_tensor(0, photograph(33))
    convolution.build((None, 33, 33, 3))
    convolution.set_weights(model.get_layer("block1_shortcut").get_weights())
    np.testing.assert_allclose(found(pixels), convolution(pixels / np.float32(255)), atol=1e-6)


def test_pooling_by_strides_needs_sizes_that_divide() -> None:
    architecture = find_architecture("pet-segmentation")
    with pytest.raises(InvalidInput, match="multiples of 8, not 200 and 100"):
        architecture.build(resized(architecture.input, 200, 100, COLOR_MODE_RGB), 3)


def test_an_input_too_small_for_the_poolings_is_rejected() -> None:
    architecture = find_architecture("cats-dogs-convnet")
    with pytest.raises(InvalidInput, match="cats-dogs-convnet cannot be built for 40×77 pixels"):
        architecture.build(resized(architecture.input, 77, 40, COLOR_MODE_RGB), 2)


def test_an_unknown_architecture_is_rejected_with_the_known_names() -> None:
    with pytest.raises(NotFound, match="mnist-convnet"):
        find_architecture("mnist")


def test_an_unknown_augmentation_is_rejected() -> None:
    architecture = find_architecture("small-resnet")
    with pytest.raises(InvalidInput, match="none, photograph, part"):
        architecture.build(architecture.input, 2, augment="posters")
