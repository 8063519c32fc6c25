"""Gather nodes by positions that sizes settle."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spyglass_export.simplifying import simplified

Simpler = Callable[[onnx.ModelProto], list[str]]
DIMS = (4, 6, 8)
SIZE = 4 * 6 * 8
PLACES = np.arange(SIZE).reshape(DIMS)


def _windows(places: Any) -> Any:
    """3 x 3 windows with a stride of 1, as `unfold` makes them: [channels, rows, columns, 3, 3]."""
    return np.lib.stride_tricks.sliding_window_view(places, (3, 3), (1, 2))


# Views of an image that torch's dynamo exporter writes as positions in the flat tensor: places, operators.
VIEWS: dict[str, tuple[Any, list[str]]] = {
    "itself": (PLACES, ["Identity"]),
    "flattened": (PLACES.ravel(), ["Reshape"]),
    "folded": (PLACES.reshape(2, 2, 6, 8), ["Reshape"]),
    "channels last": (PLACES.transpose(1, 2, 0), ["Transpose"]),
    "turned and folded": (PLACES.transpose(2, 0, 1).reshape(8, 2, 2, 6), ["Reshape", "Transpose"]),
    "windows": (
        PLACES.reshape(4, 2, 3, 2, 4).transpose(1, 3, 2, 4, 0).reshape(4, 12, 4),
        ["Reshape", "Gather", "Reshape", "Transpose"],
    ),
    "overlapping windows": (_windows(PLACES), ["Gather", "Gather", "Reshape", "Transpose"]),
    "every other row": (PLACES[:, ::2], ["Slice"]),
    "one column": (PLACES[:, :, 3], ["Slice", "Reshape"]),
    "flipped": (PLACES[:, :, ::-1], ["Slice"]),
    "rolled": (np.roll(PLACES, (2, 3), (1, 2)), ["Gather", "Gather"]),
    "shuffled channels": (PLACES[[2, 0, 3, 1]], ["Gather"]),
    "repeated rows": (PLACES[:, [0, 0, 1, 5]], ["Gather"]),
    "a diagonal": (PLACES[:, range(6), range(6)], ["Reshape", "Slice"]),
    "any places": ((PLACES.ravel() * 77 % SIZE)[:100], ["Reshape", "Gather"]),
}


@pytest.mark.parametrize("name", VIEWS)
def test_positions_within_each_image_become_plain_operators(name: str, draft: Any, simpler: Simpler) -> None:
    local, operators = VIEWS[name]
    network = draft(*DIMS)
    view = network.node("Gather", network.flat(), network.per_image(local, SIZE), axis=0)
    assert simpler(network.model(network.node("Neg", view))) == [*operators, "Neg"]


@pytest.mark.parametrize("name", VIEWS)
def test_positions_for_a_batch_of_one_become_plain_operators(name: str, draft: Any, simpler: Simpler) -> None:
    local, operators = VIEWS[name]
    network = draft(*DIMS, batch=1)
    view = network.node("Gather", network.flat(), network.per_image(local, SIZE), axis=0)
    assert simpler(network.model(network.node("Neg", view))) == [*operators, "Neg"]


@pytest.mark.parametrize("name", VIEWS)
def test_constant_positions_for_a_batch_of_one_do_not_stay(name: str, draft: Any, simpler: Simpler) -> None:
    """As torch's dynamo exporter writes them if no size is dynamic."""
    local, operators = VIEWS[name]
    network = draft(*DIMS, batch=1)
    view = network.node("Gather", network.flat(), network.weight(local[None]), axis=0)
    found = simpler(network.model(network.node("Neg", view)))
    assert found[:-1] in (operators, ["Reshape", "Gather", "Reshape"])


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_places_keep_their_numbers(draft: Any, simpler: Simpler, data: Any) -> None:
    """Slices, permutations and folds one after the other, and places in any order."""
    places = np.arange(48).reshape(2, 4, 6)
    for _ in range(data.draw(st.integers(0, 3))):
        places = places.transpose(data.draw(st.permutations(range(places.ndim))))
        axis = data.draw(st.integers(0, places.ndim - 1))
        picks = data.draw(st.lists(st.integers(0, places.shape[axis] - 1), min_size=1, max_size=6))
        places = places.take(picks, axis)
        if data.draw(st.booleans()):
            places = places.reshape(places.shape[0], -1)
    if data.draw(st.booleans()):
        places = np.array(data.draw(st.lists(st.integers(0, 47), min_size=1, max_size=9)))
    network = draft(2, 4, 6)
    view = network.node("Gather", network.flat(), network.per_image(places, 48), axis=0)
    assert "Range" not in simpler(network.model(network.node("Neg", view))) or places.size > 48


def _reversed_batch(network: Any) -> str:
    last = network.node("Sub", network.size("image", 0), network.weight(1))
    images = network.node("Range", network.weight(0), network.size("image", 0), network.weight(1))
    return network.node("Gather", "image", network.node("Sub", last, images), axis=0)


def _first_image_for_all(network: Any) -> str:
    indices = network.node("Mul", network.per_image(PLACES, SIZE), network.weight(0))
    return network.node("Gather", network.flat(), indices, axis=0)


def _by_the_images(network: Any) -> str:
    best = network.node("ArgMax", network.node("Flatten", "image"), axis=1, keepdims=0)
    return network.node("Gather", network.node("Flatten", "image"), best, axis=1)


@pytest.mark.parametrize("draw", [_reversed_batch, _first_image_for_all, _by_the_images])
def test_positions_in_other_images_or_by_the_images_stay(
    draw: Callable[[Any], str], draft: Any, simpler: Simpler
) -> None:
    network = draft(*DIMS)
    assert "Gather" in simpler(network.model(network.node("Neg", draw(network))))


def test_a_tensor_with_the_batch_behind_keeps_it_there(draft: Any, simpler: Simpler) -> None:
    """A view of [tokens, batch, channels] whose indices depend on the batch by more than a stride."""
    network = draft(6, 4)
    turned = network.node("Transpose", "image", perm=[1, 0, 2])
    batch = network.size("image", 0)
    images = network.node("Range", network.weight(0), batch, network.weight(1))
    images = network.node("Reshape", images, network.weight([1, -1, 1]))
    images = network.node("Mul", images, network.weight(4))
    step = network.node("Mul", batch, network.weight(4))
    tokens = network.node("Mul", network.weight(np.arange(6)[::-1].reshape(6, 1, 1)), step)
    places = network.node("Add", network.node("Add", images, tokens), network.weight([[[3, 1, 2, 0]]]))
    view = network.node("Gather", network.flat(turned), places, axis=0)
    assert simpler(network.model(network.node("Neg", view))) == ["Transpose", "Slice", "Gather", "Neg"]


def test_adaptive_pooling_by_a_table_of_places_keeps_the_batch_in_front(draft: Any, simpler: Simpler) -> None:
    """As torch's dynamo exporter writes `adaptive_avg_pool2d` if the sizes do not divide."""
    network = draft(*DIMS)
    rows, columns = np.meshgrid([0, 1, 2, 2, 3, 4], [0, 3, 4, 7], indexing="ij")
    table = np.stack([rows, columns], -1).reshape(3, 2, 2, 2, 2)
    turned = network.node("Transpose", "image", perm=[2, 3, 0, 1])
    picked = network.node("GatherND", turned, network.weight(table))
    back = network.node("Transpose", picked, perm=[4, 5, 0, 1, 2, 3])
    found = simpler(network.model(network.node("Neg", back)))
    assert found == ["Gather", "Gather", "Reshape", "Identity", "Neg"]


def test_pairs_of_rows_and_columns_become_places_on_one_axis(draft: Any, simpler: Simpler) -> None:
    network = draft(*DIMS)
    turned = network.node("Transpose", "image", perm=[2, 3, 0, 1])
    picked = network.node("GatherND", turned, network.weight([[0, 3], [5, 7], [2, 2]]))
    back = network.node("Transpose", picked, perm=[1, 2, 0])
    found = simpler(network.model(network.node("Neg", back)))
    assert found == ["Reshape", "Gather", "Identity", "Neg"]


def test_places_of_each_image_by_gather_nd(draft: Any, simpler: Simpler) -> None:
    network = draft(*DIMS)
    rows = network.per_image(np.array([0, 0]), 1)
    pairs = [network.node("Unsqueeze", rows, network.weight([-1])), network.weight([[[3], [1]]])]
    shape = network.node("Shape", pairs[0])
    pairs[1] = network.node("Expand", pairs[1], shape)
    table = network.node("Concat", *pairs, axis=2)
    picked = network.node("GatherND", "image", table)
    assert simpler(network.model(network.node("Neg", picked))) == ["Slice", "Neg"]


@pytest.mark.parametrize("batch_dims", [0, 1])
def test_gather_nd_with_constant_places(batch_dims: int, draft: Any, simpler: Simpler) -> None:
    network = draft(*DIMS, batch=2)
    table = [[[1], [3]], [[1], [3]]] if batch_dims else [[0, 1], [1, 1]]
    picked = network.node("GatherND", "image", network.weight(table), batch_dims=batch_dims)
    assert "GatherND" not in simpler(network.model(network.node("Neg", picked)))


def test_gather_elements_with_the_same_places_in_each_row(draft: Any, simpler: Simpler) -> None:
    network = draft(*DIMS)
    rows = network.weight([[[[3], [1], [0], [0], [5], [2]]]])
    table = network.node("Expand", rows, network.node("Shape", "image"))
    picked = network.node("GatherElements", "image", table, axis=2)
    assert simpler(network.model(network.node("Neg", picked))) == ["Gather", "Neg"]


def test_a_table_of_indices_becomes_a_list(draft: Any, simpler: Simpler) -> None:
    network = draft(*DIMS)
    picked = network.node("Gather", "image", network.weight([[0, 1], [1, -2]]), axis=-2)
    assert simpler(network.model(network.node("Neg", picked))) == ["Gather", "Reshape", "Neg"]


def test_a_list_of_indices_stays(draft: Any) -> None:
    network = draft(*DIMS)
    model = network.model(network.node("Gather", "image", network.weight([0, 3]), axis=1))
    assert simplified(model).graph.node == model.graph.node


def test_no_constant_is_larger_than_the_tensor_it_indexes(draft: Any) -> None:
    """A correlation of all pairs of places would need a table of their square."""
    network = draft(1, 4, 6)
    places = np.random.default_rng(0).integers(0, 24, (24, 24))
    view = network.node("Gather", network.flat(), network.per_image(places, 24), axis=0)
    model = simplified(network.model(network.node("Neg", view)))
    own = {tensor.name for tensor in network.weights}
    added = [tensor for tensor in model.graph.initializer if tensor.name not in own]
    assert all(np.prod(tensor.dims) <= 24 for tensor in added)
