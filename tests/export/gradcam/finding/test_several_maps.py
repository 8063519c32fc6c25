"""Networks without a map that has all of the evidence: the maps of all branches are explained together."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest

from spyglass_export.gradcam import FeatureMapError, attach_gradcam
from spyglass_export.gradcam.grid_change import distribution, interpolation

Array = np.ndarray[Any, Any]
DIMS = (3, 6, 8)


def _backbone(head: Any, source: str, filters: int, *, stride: int = 1) -> str:
    convolved = head.node("Conv", source, head.normal(filters, 3, 3, 3), pads=[1] * 4, strides=[stride] * 2)
    return str(head.node("Tanh", convolved))


def _pooled(head: Any, tensor: str) -> str:
    return str(head.node("Flatten", head.node("GlobalAveragePool", tensor)))


def _two_backbones(head: Any, *, stride: int = 1) -> tuple[onnx.ModelProto, list[str]]:
    """Two networks side by side, whose features are joined before one product."""
    maps = [_backbone(head, "image", 4), _backbone(head, "image", 5, stride=stride)]
    joined = head.node("Concat", *(_pooled(head, each) for each in maps), axis=1)
    return head.model(head.node("MatMul", joined, head.normal(9, 3))), maps


def _flipped_inside(head: Any) -> tuple[onnx.ModelProto, list[str]]:
    """The mean of the logits of an image and of its mirror image, from the same weights."""
    bounds = (head.integers(-1), head.integers(-(2**63) + 1), head.integers(3), head.integers(-1))
    mirrored = head.node("Slice", "image", *bounds)
    kernel, weight = head.normal(4, 3, 3, 3), head.normal(4, 3)
    maps, logits = [], []
    for source in ("image", mirrored):
        maps.append(head.node("Tanh", head.node("Conv", source, kernel, pads=[1] * 4)))
        logits.append(head.node("MatMul", _pooled(head, maps[-1]), weight))
    return head.model(head.node("Add", *logits)), maps


def _of_differences(
    model: onnx.ModelProto, tensor: str, picture: Array, class_index: int, find: Callable[..., Any]
) -> tuple[Array, Array]:
    """A map [channels, height, width] and the mean gradient of its channels, times the number of places."""
    value, gradient = find(model, tensor, picture, class_index)
    return value, gradient.sum((1, 2))


def _scaled(raw: Array) -> Array:
    positive = np.maximum(raw, 0)
    scaled: Array = positive / max(positive.max(), 1e-12)
    return scaled


def _heatmap(model: onnx.ModelProto, picture: Array, class_index: int, session_of: Callable[..., Any]) -> Any:
    feeds = {"image": picture, "class_index": np.array([class_index])}
    return session_of(model).run(["heatmap"], feeds)[0][0]


def test_two_backbones_are_explained_by_the_sum_of_their_maps(
    sketch: Callable[..., Any],
    image: Callable[..., Array],
    gradient_by_differences: Callable[..., Any],
    session_of: Callable[..., Any],
) -> None:
    model, maps = _two_backbones(sketch(DIMS))
    attached = attach_gradcam(model)
    assert attached.layer == " + ".join(maps)
    (notice,) = attached.notices
    assert "no single feature map has all of the evidence" in notice
    assert maps[0] in notice and maps[1] in notice
    raw: Array = np.zeros(DIMS[1:])
    for tensor in maps:
        value, weights = _of_differences(model, tensor, image(DIMS), 1, gradient_by_differences)
        raw = raw + np.einsum("khw,k->hw", value, weights)
    found = _heatmap(attached.model, image(DIMS), 1, session_of)
    np.testing.assert_allclose(found, _scaled(raw), atol=5e-3)


def test_the_map_of_a_mirror_image_is_mirrored_back(
    sketch: Callable[..., Any],
    image: Callable[..., Array],
    gradient_by_differences: Callable[..., Any],
    session_of: Callable[..., Any],
) -> None:
    model, maps = _flipped_inside(sketch(DIMS))
    attached = attach_gradcam(model)
    assert attached.layer == " + ".join(maps)
    pair = [_of_differences(model, each, image(DIMS), 2, gradient_by_differences) for each in maps]
    plain, mirrored = (np.einsum("khw,k->hw", *each) for each in pair)
    found = _heatmap(attached.model, image(DIMS), 2, session_of)
    np.testing.assert_allclose(found, _scaled(plain + mirrored[:, ::-1]), atol=5e-3)


def test_a_coarser_map_is_interpolated(
    sketch: Callable[..., Any],
    image: Callable[..., Array],
    gradient_by_differences: Callable[..., Any],
    session_of: Callable[..., Any],
) -> None:
    model, maps = _two_backbones(sketch(DIMS), stride=2)
    attached = attach_gradcam(model)
    assert "(6x8, 3x4)" in attached.notices[0]
    fine, weights = _of_differences(model, maps[0], image(DIMS), 0, gradient_by_differences)
    coarse, coarse_weights = _of_differences(model, maps[1], image(DIMS), 0, gradient_by_differences)
    down, across = interpolation(3, 6), interpolation(4, 8)
    raw = np.einsum("khw,k->hw", fine, weights)
    raw += down @ np.einsum("khw,k->hw", coarse, coarse_weights) @ across.T
    found = _heatmap(attached.model, image(DIMS), 0, session_of)
    np.testing.assert_allclose(found, _scaled(raw), atol=5e-3)


@pytest.mark.parametrize("method", ["gradcam++", "layercam", "eigencam", "scorecam"])
def test_every_method_takes_several_maps(
    method: Any, sketch: Callable[..., Any], image: Callable[..., Array], session_of: Callable[..., Any]
) -> None:
    model, maps = _two_backbones(sketch(DIMS))
    attached = attach_gradcam(model, method=method)
    assert attached.layer == " + ".join(maps)
    outputs = session_of(attached.model).run(None, {"image": image(DIMS)})
    assert outputs[1].shape[-2:] == DIMS[1:]
    assert np.isfinite(outputs[1]).all() and outputs[1].any()


def test_a_path_without_a_map_is_reported(sketch: Callable[..., Any]) -> None:
    head = sketch(DIMS)
    features = _backbone(head, "image", 4)
    # The mean colour of the image has no places, and goes around the features.
    joined = head.node("Concat", _pooled(head, features), _pooled(head, "image"), axis=1)
    model = head.model(head.node("MatMul", joined, head.normal(7, 3)))
    with pytest.raises(FeatureMapError, match=f"a part of it goes around '{features}'"):
        attach_gradcam(model)
    attached = attach_gradcam(model, feature_map=features)
    assert attached.layer == features
    assert attached.notices == (
        f"a part of the evidence goes around '{features}': its heatmap shows only the other part",
    )


def _piece(head: Any, axis: int, start: int, stop: int) -> str:
    return str(head.node("Slice", "image", *(head.integers(each) for each in (start, stop, axis))))


def _of_shifted_image(head: Any) -> onnx.ModelProto:
    shifted = head.node("Concat", _piece(head, 3, 5, 8), _piece(head, 3, 0, 5), axis=3)
    return head.model(head.node("MatMul", _pooled(head, _backbone(head, shifted, 4)), head.normal(4, 3)))


def _of_corners(head: Any) -> onnx.ModelProto:
    corners = [_piece(head, 3, 0, 5), _piece(head, 3, 3, 8)]
    logits = [
        head.node("MatMul", _pooled(head, _backbone(head, each, 4)), head.normal(4, 3)) for each in corners
    ]
    return head.model(head.node("Add", *logits))


@pytest.mark.parametrize("build", [_of_shifted_image, _of_corners])
def test_maps_at_other_places_than_those_of_the_image_are_reported(
    build: Callable[[Any], onnx.ModelProto], sketch: Callable[..., Any]
) -> None:
    with pytest.raises(FeatureMapError, match="crops, pads or shifts the image by much"):
        attach_gradcam(build(sketch(DIMS)))


def test_a_map_before_a_branch_is_explained_and_the_later_one_is_named(sketch: Callable[..., Any]) -> None:
    head = sketch(DIMS)
    before = _backbone(head, "image", 3)
    later = _backbone(head, before, 4)
    joined = head.node("Concat", _pooled(head, before), _pooled(head, later), axis=1)
    attached = attach_gradcam(head.model(head.node("MatMul", joined, head.normal(7, 3))))
    assert attached.layer == before
    assert attached.notices == (
        f"a part of the evidence goes around '{later}': the heatmap explains '{before}', the last map that "
        "has all of it",
    )


@pytest.mark.parametrize(("before", "after"), [(3, 6), (7, 14), (5, 7), (1, 4)])
def test_a_change_of_grid_keeps_constants_and_the_sum_of_gradients(before: int, after: int) -> None:
    np.testing.assert_allclose(interpolation(before, after).sum(1), 1, rtol=1e-6)
    np.testing.assert_allclose(distribution(before, after).sum(0), 1, rtol=1e-6)
    np.testing.assert_allclose(distribution(before, after).sum(1), before / after, rtol=1e-6)


@pytest.mark.parametrize("widths", [(0, 0, 9, 9, 0, 0, 0, 0), (0, 0, -4, 0, 0, 0, 0, 0)])
def test_a_map_of_much_padding_or_of_a_part_of_the_image_is_reported(
    widths: tuple[int, ...], sketch: Callable[..., Any]
) -> None:
    head = sketch((3, 8, 9))
    moved = head.node("Pad", "image", head.integers(*widths))
    model = head.model(
        head.node("MatMul", _pooled(head, last := _backbone(head, moved, 4)), head.normal(4, 3))
    )
    with pytest.raises(
        FeatureMapError, match=f"'{last}' stand for: the network crops, pads or shifts the image"
    ):
        attach_gradcam(model)
