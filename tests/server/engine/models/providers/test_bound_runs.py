"""Runs with bound buffers; IO binding has a CPU device, so they need no GPU."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import numpy as np
import pytest
from numpy.typing import NDArray

from spyglass.v1.model_pb2 import ModelCard
from spyglass_contract.errors import CertificateError, ModelError
from spyglass_contract.model.card import HEATMAP, PROBABILITIES
from spyglass_contract.model_files.model_file import check_file
from spyglass_server.engine.models.providers.cuda import least_busy_run, open_classes, replay_further, warm_up
from spyglass_server.engine.models.providers.graph import read_graph
from spyglass_server.engine.models.providers.io_binding import BoundRuns
from spyglass_server.engine.models.providers.least_busy import LeastBusy
from spyglass_server.engine.models.providers.onnx_sessions import CPU
from spyglass_server.engine.models.providers.padding import padded_size
from spyglass_server.engine.models.providers.placement import Placement

Compute = Callable[[NDArray[np.uint8]], NDArray[np.float32]]


def _noise(images: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.RandomState(seed).randint(0, 256, (images, 8, 8, 3), np.uint8)


@pytest.fixture
def bound(explaining_models: Path) -> BoundRuns:
    """The classes of a network with heatmaps, bound to the CPU."""
    path = explaining_models / "colors/1/model.onnx"
    file = check_file(path)
    session = open_classes(file, read_graph(file), Placement("cpu"), [CPU])
    return BoundRuns(session, "image", "cpu", 0, None)


@pytest.mark.parametrize(
    ("images", "size"), [(1, 1), (2, 2), (3, 4), (4, 4), (5, 8), (16, 16), (17, 32), (64, 64)]
)
def test_a_batch_is_padded_to_a_power_of_two(images: int, size: int) -> None:
    assert padded_size(images) == size


@pytest.mark.parametrize(
    ("largest", "sizes"), [(1, [1]), (2, [1, 2]), (5, [1, 2, 4, 8]), (16, [1, 2, 4, 8, 16])]
)
def test_every_padded_size_runs_before_the_first_request(
    bound: BoundRuns, make_card: Callable[..., ModelCard], largest: int, sizes: list[int]
) -> None:
    seen: list[int] = []

    def run(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        seen.append(len(pixels))
        return bound.run(pixels)

    warm_up(run, make_card().input, largest)

    assert seen == sizes


def test_a_batch_that_does_not_run_is_refused_with_what_may_help(make_card: Callable[..., ModelCard]) -> None:
    def run(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        if len(pixels) > 4:
            raise RuntimeError("Failed to allocate memory for requested buffer of size 1234")
        return np.zeros((len(pixels), 3), np.float32)

    with pytest.raises(ModelError, match=r"a batch of 8 does not run .* 1234; a smaller --max-batch or"):
        warm_up(run, make_card().input, 16)


def test_every_further_gpu_must_reproduce_the_certificate(
    bound: BoundRuns, make_card: Callable[..., ModelCard]
) -> None:
    replay_further([bound.run, bound.run], make_card())

    with pytest.raises(
        CertificateError, match=r"on GPU number 3 of the list: .* differ from .* by 0\.01, more"
    ):
        replay_further([bound.run, lambda pixels: bound.run(pixels) + np.float32(0.01)], make_card())


@pytest.mark.parametrize("images", [1, 2, 3, 7, 16])
def test_bound_runs_have_the_outputs_of_the_network(
    bound: BoundRuns, classify_colors: Compute, images: int
) -> None:
    pixels = _noise(images)
    for _ in range(2):
        np.testing.assert_allclose(bound.run(pixels), classify_colors(pixels), atol=1e-6)


def test_a_smaller_batch_does_not_see_the_images_of_a_larger_one(
    bound: BoundRuns, classify_colors: Compute
) -> None:
    bound.run(_noise(8, seed=1))
    pixels = _noise(5, seed=2)

    output = bound.run(pixels)

    assert output.shape == (5, 3)
    np.testing.assert_allclose(output, classify_colors(pixels), atol=1e-6)


def test_an_output_stays_when_its_buffers_are_used_again(bound: BoundRuns) -> None:
    first = bound.run(_noise(3, seed=1))
    kept = first.copy()
    bound.run(_noise(3, seed=2))

    np.testing.assert_array_equal(first, kept)


def test_runs_at_the_same_time_do_not_share_buffers(bound: BoundRuns, classify_colors: Compute) -> None:
    def differs(seed: int) -> float:
        pixels = _noise(1 + seed % 5, seed)
        return float(np.abs(bound.run(pixels) - classify_colors(pixels)).max())

    with ThreadPoolExecutor(8) as threads:
        assert max(threads.map(differs, range(400))) < 1e-6


def test_the_session_of_the_classes_never_runs_the_heatmap(explaining_models: Path) -> None:
    path = explaining_models / "colors/1/model.onnx"
    file = check_file(path)
    session = open_classes(file, read_graph(file), Placement("cpu"), [CPU])

    probabilities, heatmaps = session.run([PROBABILITIES, HEATMAP], {"image": _noise(2)})

    assert probabilities.shape == (2, 3)
    assert len(heatmaps) == 0


def test_a_batch_goes_to_the_gpu_that_is_free(bound: BoundRuns) -> None:
    """The first of two GPUs is held by a run that waits; the second one then takes all others."""
    started, go_on = Event(), Event()

    class Held:
        def run(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
            started.set()
            assert go_on.wait(30)
            return bound.run(pixels)

    run = least_busy_run(LeastBusy([Held(), bound]))  # type: ignore[list-item]
    with ThreadPoolExecutor(1) as threads:
        held = threads.submit(run, _noise(1))
        assert started.wait(30)
        assert [len(run(_noise(2))) for _ in range(3)] == [2, 2, 2]
        go_on.set()
        assert held.result(30).shape == (1, 3)
