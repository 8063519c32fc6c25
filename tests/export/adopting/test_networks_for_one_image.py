"""Networks that take one image at a time are adopted, and the server runs them so."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from spyglass_server import local_client
from spyglass_server.engine.call import Call
from spyglass_server.engine.models.model import Model, Resources
from spyglass_server.engine.scheduler import Inference

Array = np.ndarray[Any, Any]
FLAGS = ("--scale", "1/255", "--no-heatmap")


def softmax(logits: Array) -> Array:
    exponentials = np.exp(logits - logits.max(1, keepdims=True))
    return exponentials / exponentials.sum(1, keepdims=True)


def over_the_batch(theirs: Any, file: Path) -> Path:
    """A network that averages over the axis of the batch: with several images it would mix them."""
    model = onnx.load(theirs.write(file, batch=1))
    flat = next(tensor for tensor in model.graph.initializer if tensor.name == "flat")
    flat.CopyFrom(helper.make_tensor("flat", TensorProto.INT64, [3], [1, 1, 4]))
    model.graph.node[-1].input[0] = "gathered"
    model.graph.node.insert(4, helper.make_node("ReduceMean", ["mean"], ["gathered"], axes=[0], keepdims=0))
    onnx.save(model, file)
    return file


def test_its_probabilities_are_those_of_each_image(
    classifier: Any,
    attach: Callable[..., int],
    adopted: Callable[[], Any],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    theirs = classifier()
    assert attach(over_the_batch(theirs, tmp_path / "theirs.onnx"), *FLAGS) == 0
    message = capsys.readouterr().err
    assert "works for one image at a time" in message and "for 3 images its output has" in message
    card, pixels, found = adopted()
    np.testing.assert_allclose(found, softmax(theirs.logits(pixels.transpose(0, 3, 1, 2) / 255)), atol=1e-5)
    assert not card.explained_layer and card.certificate.heatmaps == 0


@pytest.mark.parametrize("flags", [("--no-heatmap",), ("--method", "eigencam"), ("--method", "scorecam")])
def test_a_network_without_an_axis_of_the_batch_is_served(
    classifier: Any,
    flags: tuple[str, ...],
    attach: Callable[..., int],
    adopted: Callable[[], Any],
    tmp_path: Path,
    chelsea: bytes,
    capfd: pytest.CaptureFixture[str],
) -> None:
    theirs = classifier()
    file = theirs.write(tmp_path / "theirs.onnx", batch=1, reshape=(4,))
    model = onnx.load(file)
    next(node for node in model.graph.node if node.op_type == "Reshape").name = "flatten"
    onnx.save(model, file)
    assert attach(file, "--scale", "1/255", *flags) == 0
    message = capfd.readouterr().err
    assert (
        "Reshape 'flatten' fails" in message and "let the shape that this node makes begin with -1" in message
    )
    assert "onnxruntime" not in message
    _, pixels, found = adopted()
    np.testing.assert_allclose(found, softmax(theirs.logits(pixels.transpose(0, 3, 1, 2) / 255)), atol=1e-5)
    with local_client(tmp_path / "models") as client:
        assert len(client.classify(chelsea, model="theirs").classes) == 3
        if "--method" in flags:
            found = client.heatmap(chelsea, model="theirs", target=0, further=[1, 2])
            assert len(found.explained) == 3


def test_a_server_that_is_set_to_batches_runs_it_one_by_one(
    classifier: Any, attach: Callable[..., int], adopted: Callable[[], Any], tmp_path: Path
) -> None:
    assert attach(over_the_batch(classifier(), tmp_path / "theirs.onnx"), *FLAGS) == 0
    _, pixels, expected = adopted()
    model = Model.load(tmp_path / "models/theirs/1/model.onnx", Resources(max_batch=8))
    waiting: list[Future[Inference[Array]]] = [Future() for _ in range(40)]
    for index, done in enumerate(waiting):
        model.submit(pixels[index % 5], model.network.run, Call(), done)
    found = [done.result(timeout=30) for done in waiting]
    model.close()
    assert model.max_batch == 1 and {each.batch_size for each in found} == {1}
    np.testing.assert_allclose([each.output for each in found], np.tile(expected, (8, 1)), atol=1e-6)
