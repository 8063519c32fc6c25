"""Networks that were exported for a fixed number of images: freed, or served one image at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from plain_softmax import softmax
from spyglass_client import Client
from spyglass_export.session_options import session_options
from spyglass_server.server import Server
from spyglass_server.settings import ServerSettings

Array = np.ndarray[Any, Any]


@contextmanager
def serving(models: Path) -> Iterator[Client]:
    """A client of a server with batches of up to 8 images."""
    server = Server(
        ServerSettings(models=models, host="localhost", port=0, concurrency=1, max_batch=8, profile_seconds=0)
    )
    server.start()
    try:
        with Client(f"localhost:{server.port}") as client:
            yield client
    finally:
        server.stop(grace=0)


@pytest.mark.parametrize("reshape", [(-1, 4), (8, 4)])
def test_a_batch_of_several_images_is_freed(
    classifier: Any,
    reshape: tuple[int, ...],
    attach: Callable[..., int],
    written: Callable[[], Any],
    tmp_path: Path,
    chelsea: bytes,
) -> None:
    theirs = classifier()
    file = theirs.write(tmp_path / "theirs.onnx", batch=8, reshape=reshape)
    assert attach(file, "--scale", "1/255") == 0
    card, pixels, found, heatmaps = written()
    images = pixels.transpose(0, 3, 1, 2) / 255
    np.testing.assert_allclose(found, softmax(theirs.logits(images)), atol=1e-5)
    np.testing.assert_allclose(heatmaps, theirs.heatmaps(images, 1), atol=1e-4)
    assert "one image" not in card.description
    with serving(tmp_path / "models") as client:
        assert [each.max_batch for each in client.models()] == [8]
        assert len(client.classify(chelsea, model="theirs").classes) == 3


def fixed_by(operator: str, theirs: Any, file: Path, batch: int) -> Path:
    """Write a network whose batch is a number in `operator`, behind its pooling."""
    model = onnx.load(theirs.write(file, batch=batch))
    model.graph.node[-1].input[0] = "fixed"
    model.graph.initializer.append(
        helper.make_tensor("sizes", TensorProto.INT64, [2], [batch, 4])
        if operator == "Expand"
        else helper.make_tensor("sizes", TensorProto.FLOAT, [batch, 4], [0.0] * batch * 4)
    )
    model.graph.node.insert(4, helper.make_node(operator, ["mean", "sizes"], ["fixed"]))
    onnx.save(model, file)
    return file


@pytest.mark.parametrize("operator", ["Expand", "Add"])
def test_a_batch_of_several_images_that_cannot_be_freed_is_rejected(
    classifier: Any,
    operator: str,
    attach: Callable[..., int],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = fixed_by(operator, classifier(), tmp_path / "theirs.onnx", 8)
    assert attach(file, "--scale", "1/255") == 1
    assert "takes 8 images at a time; export it with a dynamic batch" in capsys.readouterr().err
    assert not (tmp_path / "models").exists()


def without_batch_axis(theirs: Any, file: Path) -> Path:
    return theirs.write(file, batch=1, reshape=(4,))


@pytest.mark.parametrize("method", ["gradcam", "eigencam", "scorecam"])
def test_the_card_and_the_server_say_that_a_model_takes_one_image(
    classifier: Any,
    method: str,
    attach: Callable[..., int],
    adopted: Callable[[], Any],
    tmp_path: Path,
    chelsea: bytes,
) -> None:
    theirs = classifier()
    # Every class has a heatmap that is not 0.
    theirs.weight = np.abs(theirs.weight)
    file = without_batch_axis(theirs, tmp_path / "theirs.onnx")
    assert attach(file, "--scale", "1/255", "--method", method) == 0
    card, _, _ = adopted()
    assert "The network takes one image at a time." in card.description
    with serving(tmp_path / "models") as client:
        assert [each.max_batch for each in client.models()] == [1]
        # Several wait at once, which a batch would hold.
        found = list(client.classify_many([chelsea] * 6, model="theirs"))
        assert {each.timing.batch_size for each in found} == {1}
        explained = [client.heatmap(chelsea, model="theirs", target=0, further=[1, 2])]
        explained += list(client.heatmap_many([chelsea] * 4, target=0, further=[1, 2], model="theirs"))
        maps = np.array([[each.feature_map for each in result.explained] for result in explained])
        assert maps.shape[:2] == (5, 3) and maps.max() == 1
        np.testing.assert_array_equal(maps, np.repeat(maps[:1], 5, axis=0))


@pytest.mark.parametrize("axis", [True, False])
def test_several_classes_of_one_image_have_their_own_heatmaps(
    classifier: Any, axis: bool, attach: Callable[..., int], adopted: Callable[[], Any], tmp_path: Path
) -> None:
    """A head without an axis of the batch, or with a mean over it, has a row for one class only."""
    theirs, file = classifier(), tmp_path / "theirs.onnx"
    theirs.weight = np.abs(theirs.weight)
    theirs.write_mean_over_batch(file) if axis else without_batch_axis(theirs, file)
    assert attach(file, "--scale", "1/255") == 0
    _, pixels, _ = adopted()
    session = onnxruntime.InferenceSession(
        tmp_path / "models/theirs/1/model.onnx", session_options(), providers=["CPUExecutionProvider"]
    )
    for image in pixels:
        feeds = {"image": image[np.newaxis], "class_index": np.array([2, 0, 1, 0])}
        found = session.run(["heatmap"], feeds)[0]
        expected = [
            theirs.heatmaps(image[np.newaxis].transpose(0, 3, 1, 2) / 255, index) for index in range(3)
        ]
        np.testing.assert_allclose(
            found, np.concatenate([expected[index] for index in (2, 0, 1, 0)]), atol=1e-4
        )
