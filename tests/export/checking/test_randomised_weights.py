"""Heatmaps after randomisation of the weights."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import numpy_helper

from spyglass_contract.errors import ModelError
from spyglass_export.checking.check import Subject, check_curves, check_randomised
from spyglass_export.checking.network import ExplainedNetwork
from spyglass_export.checking.randomisation import randomised, stages, weighted_layers
from spyglass_export.checking.similarity import rank_correlation, structural_similarity

Draw = Callable[[int, int], NDArray[np.uint8]]


def _tensors(file: bytes) -> dict[str, NDArray[np.float32]]:
    model = onnx.load_from_string(file)
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}


def test_layers_are_randomised_from_the_output_down(
    texture_model: Callable[..., onnx.ModelProto],
) -> None:
    model = texture_model()
    before = _tensors(model.SerializeToString())
    first, second = randomised(model, seed=3)
    assert [(first.layers, first.lowest), (second.layers, second.lowest)] == [(1, "logits"), (2, "edges")]
    after_one, after_two = _tensors(first.file), _tensors(second.file)
    np.testing.assert_array_equal(after_one["filters"], before["filters"])
    np.testing.assert_array_equal(after_two["head"], after_one["head"])
    for name in ("filters", "head"):
        assert not np.array_equal(after_two[name], before[name])
        np.testing.assert_array_equal(np.sort(after_two[name].ravel()), np.sort(before[name].ravel()))
    assert _tensors(model.SerializeToString()).keys() == before.keys()
    np.testing.assert_array_equal(_tensors(model.SerializeToString())["head"], before["head"])


def test_the_seed_determines_the_randomised_weights(texture_model: Callable[..., onnx.ModelProto]) -> None:
    model = texture_model()
    files = [[stage.file for stage in randomised(model, seed)] for seed in (1, 1, 2)]
    assert files[0] == files[1] != files[2]


def test_quantised_and_transposed_weights_are_found() -> None:
    helper = onnx.helper
    weights = [
        numpy_helper.from_array(np.arange(6, dtype=np.int8).reshape(2, 3), "packed"),
        numpy_helper.from_array(np.array(0.1, "f"), "scale"),
    ]
    nodes = [
        helper.make_node("DequantizeLinear", ["packed", "scale"], ["unpacked"]),
        helper.make_node("Transpose", ["unpacked"], ["turned"]),
        helper.make_node("MatMul", ["x", "turned"], ["y"]),
        helper.make_node("MatMul", ["y", "y"], ["z"]),
    ]
    (layer,) = weighted_layers(helper.make_graph(nodes, "packed", [], [], weights))
    assert (layer.name, layer.weights) == ("y", ("packed",))


@pytest.mark.parametrize(("layers", "expected"), [(1, [1]), (2, [1, 2]), (5, [1, 2, 4, 5])])
def test_stages_double(layers: int, expected: list[int]) -> None:
    assert stages(layers) == expected


def test_a_network_without_weights_is_rejected(explaining_models: Path) -> None:
    model = onnx.load(str(explaining_models / "colors/1/model.onnx"))
    with pytest.raises(ModelError, match="no convolution or product"):
        next(randomised(model, 0))


def test_a_heatmap_changes_when_all_weights_are_randomised(
    texture_model: Callable[..., onnx.ModelProto], textured: Draw
) -> None:
    model = texture_model()
    network = ExplainedNetwork(model.SerializeToString())
    subjects = [Subject(f"{left}", textured(2, left)) for left in (1, 9, 18)]
    checked = list(check_curves(network, subjects, 4, seed=0))
    for each in checked:
        assert rank_correlation(each.heatmap, network.heatmap(each.subject.pixels, 0)) == pytest.approx(1)
    last = list(check_randomised(model, checked, seed=0))[-1]
    assert len(last.maps) == len(subjects)
    for each, found, similarity in zip(checked, last.maps, last.structural_similarities, strict=True):
        assert not np.allclose(each.heatmap, found, atol=0.1)
        assert similarity is not None and similarity < 0.9


def test_the_rank_correlation_is_spearman_s() -> None:
    first = np.array([[0.1, 0.2], [0.3, 0.9]], np.float32)
    assert rank_correlation(first, np.exp(first)) == pytest.approx(1)
    assert rank_correlation(first, -first) == pytest.approx(-1)
    # Ranks 1 2 3 4 and 1.5 1.5 3 4: by hand, 4.5 over the root of 5 times 4.5.
    tied = np.array([[0, 0], [1, 2]], np.float32)
    assert rank_correlation(first, tied) == pytest.approx(4.5 / np.sqrt(5 * 4.5))


def test_a_flat_map_and_a_map_with_nan_have_no_similarity() -> None:
    some = np.arange(4, dtype=np.float32).reshape(2, 2)
    assert rank_correlation(some, np.zeros((2, 2), np.float32)) is None
    assert rank_correlation(some, np.full((2, 2), np.nan, np.float32)) is None
    assert structural_similarity(some, np.full((2, 2), np.nan, np.float32)) is None


def test_structural_similarity_is_the_mean_of_its_windows() -> None:
    random = np.random.default_rng(0)
    x, y = random.random((2, 9, 10), dtype=np.float32)
    values = []
    for top in range(3):
        for left in range(4):
            a = x[top : top + 7, left : left + 7].astype(float)
            b = y[top : top + 7, left : left + 7].astype(float)
            covariance = (a * b).mean() - a.mean() * b.mean()
            values.append(
                (2 * a.mean() * b.mean() + 1e-4)
                * (2 * covariance + 9e-4)
                / ((a.mean() ** 2 + b.mean() ** 2 + 1e-4) * (a.var() + b.var() + 9e-4))
            )
    assert structural_similarity(x, y) == pytest.approx(np.mean(values), abs=1e-9)
    assert structural_similarity(x, x) == pytest.approx(1)
