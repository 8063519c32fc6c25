"""Every architecture is the one that its name promises."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("tensorflow")

from spyglass.v1.model_pb2 import COLOR_MODE_RGB, InputSpec
from spyglass_contract.card import validate_input
from spyglass_contract.certificate import golden_tensor
from spyglass_contract.errors import NotFound
from spyglass_training.models import ARCHITECTURES, Architecture, find_architecture

pytestmark = pytest.mark.training

EVERY = pytest.mark.parametrize("architecture", ARCHITECTURES.values(), ids=ARCHITECTURES)


@pytest.mark.parametrize(
    ("name", "classes", "parameters"),
    # EfficientNet-Lite0: 4,652,008 trained ones, as its authors have it, and two for each of 21,008 channels
    # that batch normalisation keeps its moving averages of.
    [("mnist-convnet", 10, 93_322), ("efficientnet-lite0", 1000, 4_694_024)],
)
def test_an_architecture_has_the_number_of_parameters_its_source_states(
    name: str, classes: int, parameters: int
) -> None:
    architecture = find_architecture(name)
    assert architecture.build(architecture.input, classes).count_params() == parameters


@EVERY
def test_an_architecture_takes_uint8_pixels_and_answers_with_probabilities(
    architecture: Architecture,
) -> None:
    validate_input(architecture.input)
    model = architecture.build(architecture.input, 7)
    assert [(each.name, each.dtype) for each in model.inputs] == [(architecture.input.tensor, "uint8")]
    (answer,) = np.asarray(model(golden_tensor(0, architecture.input), training=False))
    assert answer.shape == (7,) and answer.dtype == np.float32
    assert (answer >= 0).all() and answer.sum() == pytest.approx(1, abs=1e-5)


@EVERY
def test_an_architecture_can_be_built_for_another_size_and_colour_mode(architecture: Architecture) -> None:
    spec = InputSpec()
    spec.CopyFrom(architecture.input)
    spec.height, spec.width, spec.color_mode = 64, 48, COLOR_MODE_RGB
    assert architecture.build(spec, 3).input_shape == (None, 64, 48, 3)


def test_an_unknown_architecture_is_refused_with_the_names_there_are() -> None:
    with pytest.raises(NotFound, match="mnist-convnet"):
        find_architecture("mnist")
