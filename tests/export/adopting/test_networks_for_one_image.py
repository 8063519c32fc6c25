"""Networks that take one image at a time are adopted, and the server runs them so."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from plain_softmax import softmax
from spyglass_server import local_client
from spyglass_server.engine.models.model import Model, Resources
from spyglass_server.engine.scheduling.admission import Bounds
from spyglass_server.engine.scheduling.workers import Workers
from works import submit

FLAGS = ("--scale", "1/255", "--no-heatmap")


def test_its_probabilities_are_those_of_each_image(
    classifier: Any,
    attach: Callable[..., int],
    adopted: Callable[[], Any],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    theirs = classifier()
    assert attach(theirs.write_mean_over_batch(tmp_path / "theirs.onnx"), *FLAGS) == 0
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
    assert attach(classifier().write_mean_over_batch(tmp_path / "theirs.onnx"), *FLAGS) == 0
    _, pixels, expected = adopted()
    model = Model.load(tmp_path / "models/theirs/1/model.onnx", Resources(max_batch=8))
    workers = Workers(1, Bounds(40))
    waiting = [submit(workers, model, pixels[index % 5], model.network.run) for index in range(40)]
    found = [inferred.result(30) for inferred in waiting]
    workers.close()
    assert model.max_batch == 1 and {each.batch_size for each in found} == {1}
    np.testing.assert_allclose([each.output for each in found], np.tile(expected, (8, 1)), atol=1e-6)
