"""The list of the feature maps of a classifier."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import onnx

from spyglass_export.gradcam.finding.candidates import MOST_LISTED, candidate_maps

DIMS = (4, 6, 8)


def test_the_list_holds_the_maps_with_their_sizes_and_the_operators_behind_them(
    sketch: Callable[..., Any],
) -> None:
    head = sketch(DIMS)
    first = head.node("Conv", "features", head.normal(5, 4, 2, 2), strides=[2, 2])
    last = head.node("Tanh", first)
    pooled = head.node("Flatten", head.node("GlobalAveragePool", last))
    found = candidate_maps(head.model(head.node("MatMul", pooled, head.normal(5, 3))))
    assert [each.tensor for each in found.maps] == [last, first, "features"]
    assert [each.chosen for each in found.maps] == [True, False, False]
    assert [(each.height, each.width, each.channels) for each in found.maps] == [
        (3, 4, 5),
        (3, 4, 5),
        (6, 8, 4),
    ]
    assert found.maps[0].operators == ("GlobalAveragePool", "Flatten", "MatMul")
    assert found.maps[2].operators == ("Conv", "Tanh", "GlobalAveragePool", "Flatten", "MatMul")
    assert all(each.has_gradient and each.is_read and not each.without_rule for each in found.maps)
    assert found.problem == "" and found.notices == ()
    assert json.loads(json.dumps(found.to_dict()))["maps"][0]["tensor"] == last


def test_operators_without_a_rule_are_named(sketch: Callable[..., Any]) -> None:
    head = sketch(DIMS)
    grid = head.weight([[[[0.0, 0.0]]]])
    batch = head.node("Expand", grid, head.node("Concat", _batch(head), head.integers(1, 1, 2), axis=0))
    sampled = head.node("Flatten", head.node("GridSample", "features", batch))
    model = head.model(head.node("MatMul", sampled, head.normal(4, 3)))
    (found,) = candidate_maps(model).maps
    assert found.without_rule == ("GridSample",)
    assert not found.has_gradient


def _batch(head: Any) -> str:
    return str(head.node("Gather", head.node("Shape", "features"), head.integers(0), axis=0))


def test_maps_that_the_scores_do_not_read_are_marked(transformer: Callable[..., Any]) -> None:
    net = transformer()
    last = net.block(net.embed(1))
    found = candidate_maps(net.of_class_token(last))
    by_name = {each.tensor: each for each in found.maps}
    assert by_name[last].is_read is False
    assert by_name[net.norms[-1]].chosen and by_name[net.norms[-1]].is_read


def test_a_deep_network_has_a_short_list(sketch: Callable[..., Any]) -> None:
    head = sketch(DIMS)
    tensor = "features"
    for _ in range(20):
        tensor = head.node("Tanh", tensor)
    found = candidate_maps(head.classify(head.node("GlobalAveragePool", tensor)))
    assert len(found.maps) == MOST_LISTED
    assert found.maps[0].tensor == tensor


def test_a_network_without_a_map_has_an_empty_list_and_a_problem(sketch: Callable[..., Any]) -> None:
    model: onnx.ModelProto = sketch(DIMS).classify("image")
    found = candidate_maps(model)
    assert found.maps == ()
    assert "not computed from any feature map" in found.problem
