"""Heatmaps in the queue and in the session: which entries run in one batch, and at which cost."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from threading import Event, Semaphore

import numpy as np
import pytest
from numpy.typing import NDArray

from handled import Handled
from spyglass.v1.model_pb2 import ModelCard
from spyglass_contract.errors import CardError, DeadlineExceeded
from spyglass_contract.model.card import PREDICTED, write_card
from spyglass_server import local_client
from spyglass_server.engine.call import Call
from spyglass_server.engine.models.model import Model, Resources
from spyglass_server.engine.models.session import Session
from spyglass_server.engine.scheduling.admission import Bounds
from spyglass_server.engine.scheduling.workers import Workers
from spyglass_server.heatmaps.explain import Explain
from works import submit

PATIENCE = 30


@pytest.fixture
def session(explaining_models: Path) -> Session:
    return Session(explaining_models / "colors/1/model.onnx", device="cpu")


@pytest.fixture
def pixels() -> NDArray[np.uint8]:
    """Three images: a red, a green and a blue one."""
    batch = np.full((3, 8, 8, 3), 10, np.uint8)
    for index in range(3):
        batch[index, :, :, index] = 200
    return batch


class CountingNetwork:
    """A session that records the shape of each run; while the gate is closed, each run waits."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.card, self.provider = session.card, session.provider
        self.gate = Event()
        self.gate.set()
        self.entered = Semaphore(0)
        self.runs: list[tuple[int, tuple[int, ...]]] = []

    def run(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        self._note(len(pixels), ())
        return self.session.run(pixels)

    def explain(
        self, pixels: NDArray[np.uint8], classes: tuple[int, ...]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        self._note(len(pixels), tuple(classes))
        return self.session.explain(pixels, classes)

    def _note(self, images: int, classes: tuple[int, ...]) -> None:
        self.runs.append((images, classes))
        self.entered.release()
        assert self.gate.wait(PATIENCE)


def test_one_class_is_explained_in_every_image_of_a_batch(
    session: Session, pixels: NDArray[np.uint8]
) -> None:
    probabilities, maps = session.explain(pixels, (1,))
    np.testing.assert_array_equal(probabilities, session.run(pixels))
    assert maps.shape == (3, 8, 8)


def test_several_classes_of_one_image_are_one_run(session: Session, pixels: NDArray[np.uint8]) -> None:
    network = CountingNetwork(session)
    (explained,) = Explain(network, (0, 2))(pixels[:1])
    assert network.runs == [(1, (0, 2))]
    assert explained.maps.shape == (2, 8, 8)
    assert explained.probabilities.shape == (3,)


def test_each_image_of_a_batch_gets_the_heatmaps_of_its_own_classes(
    session: Session, pixels: NDArray[np.uint8]
) -> None:
    together = Explain(session, (0, PREDICTED))(pixels)
    for image, explained in zip(pixels, together, strict=True):
        probabilities, maps = session.explain(image[np.newaxis], (0, PREDICTED))
        np.testing.assert_array_equal(explained.maps, maps)
        np.testing.assert_array_equal(explained.probabilities, probabilities[0])


def test_classifying_does_not_compute_the_heatmap(
    make_model: Callable[..., Path],
    attach_heatmap: Callable[[Path], Path],
    pixels: NDArray[np.uint8],
) -> None:
    onnx = pytest.importorskip("onnx")
    path = attach_heatmap(make_model())
    model = onnx.load(str(path))
    (default,) = (entry for entry in model.graph.initializer if entry.name == "class_index")
    # An unknown class: the branch of the heatmap could not run.
    default.CopyFrom(onnx.numpy_helper.from_array(np.array([99]), "class_index"))
    onnx.save(model, str(path))
    broken = Session(path, device="cpu")
    assert broken.run(pixels).argmax(axis=1).tolist() == [0, 1, 2]
    with pytest.raises(Exception, match=r"indices|out of"):
        broken.explain(pixels, (99,))


@pytest.mark.parametrize("in_graph", [True, False])
def test_a_card_that_differs_from_its_graph_about_the_heatmap_is_refused(
    make_model: Callable[..., Path],
    make_card: Callable[..., ModelCard],
    attach_heatmap: Callable[[Path], Path],
    in_graph: bool,
) -> None:
    onnx = pytest.importorskip("onnx")
    path = make_model()
    if in_graph:
        attach_heatmap(path)
    model, card = onnx.load(str(path)), make_card()
    card.explained_layer = "" if in_graph else "floats"
    write_card(model, card)
    onnx.save(model, str(path))
    with pytest.raises(CardError, match="heatmap"):
        Session(path, device="cpu")


def test_only_entries_with_the_same_kind_of_run_are_in_one_batch(
    session: Session, pixels: NDArray[np.uint8]
) -> None:
    network = CountingNetwork(session)
    model = Model(network, "ab" * 32, Resources(max_batch=8))
    workers = Workers(1, Bounds(8))
    network.entered = Semaphore(0)
    network.gate.clear()
    first = submit(workers, model, pixels[0], network.run)
    assert network.entered.acquire(timeout=PATIENCE)
    network.runs.clear()
    why, why_red = Explain(network, (PREDICTED,)), Explain(network, (0,))
    runs = [None, why, why_red, None, Explain(network, (PREDICTED,)), why_red]
    futures = [submit(workers, model, pixels[n % 3], run or network.run) for n, run in enumerate(runs)]
    network.gate.set()
    inferences = [future.result(PATIENCE) for future in (first, *futures)][1:]
    workers.close()
    assert network.runs == [(2, ()), (2, (PREDICTED,)), (2, (0,))]
    for n, (run, inference) in enumerate(zip(runs, inferences, strict=True)):
        probabilities = inference.output.probabilities if run else inference.output
        assert probabilities.argmax() == n % 3
        assert inference.batch_size == 2


def test_a_heatmap_whose_deadline_passes_in_the_queue_is_dropped(
    session: Session, color_image: Callable[..., bytes]
) -> None:
    network = CountingNetwork(session)
    model = Model(network, "ab" * 32, Resources(workers=1))
    handled = Handled(Path("colors/1/model.onnx"), lambda path: model)
    network.gate.clear()
    network.runs.clear()
    occupied = submit(handled.engine.workers, model, np.zeros((8, 8, 3), np.uint8), network.run)
    with pytest.raises(DeadlineExceeded):
        handled.heatmap(color_image("red"), call=Call(time.monotonic() + 0.05))
    assert handled.inside == 1
    network.gate.set()
    occupied.result(PATIENCE)
    handled.close()
    assert network.runs == [(1, ())]


def test_a_local_client_returns_heatmaps(explaining_models: Path, color_image: Callable[..., bytes]) -> None:
    with local_client(explaining_models) as client:
        found = client.heatmap(
            color_image("green"), model="colors", target="green", further=[1], timeout=PATIENCE
        )
    assert [each.target.name for each in found.explained] == ["green", "green"]
    assert (found.feature_map == 1).all()
    np.testing.assert_array_equal(found.feature_map, found.further[0].feature_map)
    assert (found.width, found.height, found.box) == (20, 12, (0, 0, 20, 12))
