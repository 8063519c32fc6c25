"""Errors for networks without a heatmap name the node at fault and the alternatives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from onnx import helper

from spyglass_contract.errors import ModelError
from spyglass_export.gradcam import Advice, HeatmapError, UnsupportedHead, attach_gradcam

DIMS = (4, 6, 6)


def _sampled(head: Any) -> str:
    grid = head.weight(head.random.uniform(-1, 1, size=(1, 5, 5, 2)))
    batch = head.node("Slice", head.node("Shape", "features"), head.integers(0), head.integers(1))
    shape = head.node("Concat", batch, head.integers(5, 5, 2), axis=0)
    return head.node("GridSample", "features", head.node("Expand", grid, shape))


def _kernel_of_features(head: Any) -> str:
    kernel = head.node("Reshape", "features", head.integers(1, 4, 6, 6))
    return head.node("Conv", "features", kernel)


def _slope_of_features(head: Any) -> str:
    return head.node("PRelu", "features", head.node("Sigmoid", "features"))


def _mean_of_batch(head: Any) -> str:
    return head.node("Sub", "features", head.with_axes("ReduceMean", "features", [0], 18))


def _training(head: Any) -> str:
    numbers = [head.normal(4) for _ in range(4)]
    return head.many("BatchNormalization", ["features", *numbers], 3, training_mode=1)[0]


def _moving_slice(head: Any) -> str:
    start = head.node("ArgMax", head.node("Flatten", "image", axis=1), axis=1, keepdims=0)
    indices = head.node("Mod", head.node("ReduceMin", start), head.weight(2, np.int64))
    return head.node("Slice", "features", indices, head.integers(5), head.integers(2))


def _second_output(head: Any) -> str:
    return head.many("LayerNormalization", ["features", head.normal(6), head.normal(6)], 2)[1]


def _first_image(head: Any) -> str:
    first = head.node("Slice", "features", head.integers(0), head.integers(1), head.integers(0))
    return head.node("Sub", "features", first)


def _alike_images(head: Any) -> str:
    flat = head.node("Flatten", "features")
    alike = head.node("MatMul", flat, head.node("Transpose", flat, perm=[1, 0]))
    weights = head.with_axes("ReduceMax", alike, [1], 18)
    return str(head.node("MatMul", weights, head.normal(1, 5)))


HEADS: dict[str, tuple[str, Callable[[Any], str], str]] = {
    "no rule": ("GridSample", _sampled, "has no gradient rule"),
    "a kernel that moves": ("Conv", _kernel_of_features, "depends on the feature map too"),
    "a slope that moves": ("PRelu", _slope_of_features, "depends on the feature map too"),
    "mixed images": ("ReduceMean", _mean_of_batch, "mixes the images of a batch"),
    "training": ("BatchNormalization", _training, "training mode"),
    "bounds that move": ("Slice", _moving_slice, "computes them at run time"),
    "another output": ("LayerNormalization", _second_output, "further output"),
    "an image for all": ("Slice", _first_image, "mixes the images of a batch"),
    "images compared": ("MatMul", _alike_images, "mixes the images"),
    "softmax of a batch": ("Softmax", lambda h: h.node("Softmax", "features", axis=0), "mixes the images"),
}


@pytest.mark.parametrize("case", HEADS)
def test_the_error_names_the_node_without_a_gradient_and_the_alternatives(
    case: str, sketch: Callable[..., Any]
) -> None:
    op_type, draw, reason = HEADS[case]
    head = sketch(DIMS)
    model = head.classify(head.node("Tanh", draw(head)))
    with pytest.raises(UnsupportedHead, match=reason) as caught:
        attach_gradcam(model, feature_map="features")
    assert caught.value.op_type == op_type
    assert caught.value.node in {node.name for node in head.nodes if node.op_type == op_type}
    assert caught.value.node in caught.value.message
    assert "method='eigencam'" in caught.value.message
    assert isinstance(caught.value, ModelError)


def test_the_error_names_the_domain_of_an_operator(sketch: Callable[..., Any]) -> None:
    head = sketch(DIMS)
    head.nodes.append(helper.make_node("QuickGelu", ["features"], ["bent"], "bend", domain="com.microsoft"))
    mean = head.node("GlobalAveragePool", head.node("Relu", "bent"))
    model = head.model(head.node("MatMul", head.node("Flatten", mean), head.normal(4, 3)))
    with pytest.raises(UnsupportedHead, match=r"com\.microsoft\.QuickGelu node 'bend'"):
        attach_gradcam(model, feature_map="features")


def test_an_old_opset_is_rejected_with_advice_to_convert(sketch: Callable[..., Any]) -> None:
    head = sketch(DIMS, opset=10)
    with pytest.raises(HeatmapError, match=r"must be 11 or newer, not 10; .*convert_version"):
        attach_gradcam(head.model("features"))


def test_the_error_for_an_unknown_method_lists_the_known_ones(sketch: Callable[..., Any]) -> None:
    with pytest.raises(
        HeatmapError, match=r"one of gradcam, gradcam\+\+, layercam, eigencam, scorecam, not 'smoothgrad'"
    ):
        attach_gradcam(sketch(DIMS).classify("features"), method="smoothgrad")


def test_the_error_for_an_unknown_score_lists_the_known_ones(sketch: Callable[..., Any]) -> None:
    score: Any = "margin"
    with pytest.raises(HeatmapError, match="gradient_of must be one of logit, probability, not 'margin'"):
        attach_gradcam(sketch(DIMS).classify("features"), gradient_of=score)


def _recurrent(head: Any) -> str:
    rows = head.node("Reshape", "features", head.integers(0, 4, 36))
    steps = head.node("Transpose", rows, perm=[2, 0, 1])
    weights = [head.normal(1, 9, 4), head.normal(1, 9, 3)]
    states = head.node("GRU", steps, *weights, hidden_size=3)
    return str(head.node("Transpose", states, perm=[2, 0, 1, 3]))


def _beside_sampled(head: Any) -> str:
    return str(head.node("Add", "features", head.node("GlobalAveragePool", _sampled(head))))


BOTH = (Advice.LATER_FEATURE_MAP, Advice.NO_GRADIENT)

ADVISED: dict[str, tuple[Callable[[Any], str], tuple[Advice, ...]]] = {
    # The sum has the places of the features again. Those of the sampled tensor alone are unknown.
    "a tensor behind": (_beside_sampled, BOTH),
    "places that are unknown": (lambda h: h.node("Tanh", _sampled(h)), (Advice.NO_GRADIENT,)),
    "recurrence": (_recurrent, (Advice.NO_GRADIENT,)),
}


@pytest.mark.parametrize("case", ADVISED)
def test_every_choice_that_an_error_names_is_accepted(case: str, sketch: Callable[..., Any]) -> None:
    draw, expected = ADVISED[case]
    head = sketch(DIMS)
    model = head.classify(draw(head))
    with pytest.raises(UnsupportedHead) as caught:
        attach_gradcam(model, feature_map="features")
    error = caught.value
    assert error.advice == expected
    choices = [advice.wording(error.tensors.get(advice)) for advice in error.advice]
    assert error.message == f"{error.problem}; {', or '.join(choices)}"
    if (tensor := error.tensors.get(Advice.LATER_FEATURE_MAP)) is not None:
        assert f"feature_map='{tensor}'" in error.message
        assert attach_gradcam(model, feature_map=tensor).layer == tensor
    for method in ("eigencam", "scorecam"):
        assert f"'{method}'" in error.message
        assert attach_gradcam(model, feature_map="features", method=method).layer == "features"


def test_an_error_names_the_scores_before_an_operator_without_a_gradient(sketch: Callable[..., Any]) -> None:
    head = sketch(DIMS)
    mean = head.node("Flatten", head.node("GlobalAveragePool", "features"))
    logits = head.node("MatMul", mean, head.normal(4, 3))
    whole = head.node("ReduceMean", logits, axes=[0])
    model = head.model(head.node("Sub", logits, whole))
    with pytest.raises(UnsupportedHead, match=f"choose scores before this node with scores='{logits}'"):
        attach_gradcam(model, feature_map="features")
    assert attach_gradcam(model, feature_map="features", scores=logits).layer == "features"


UNKNOWN_MODES: dict[str, tuple[Callable[[Any], str], str]] = {
    "Gelu": (lambda h: h.node("Gelu", "features", approximate="sigmoid"), "none or tanh, not sigmoid"),
    "Pad": (
        lambda h: h.node("Pad", "features", h.integers(0, 0, 1, 1, 0, 0, 1, 1), mode="mean"),
        "constant, edge, reflect, wrap, not mean",
    ),
    "MaxPool": (
        lambda h: h.node("MaxPool", "features", kernel_shape=[2, 2], auto_pad="FULL"),
        "SAME_LOWER or SAME_UPPER, not FULL",
    ),
}


@pytest.mark.parametrize("op_type", UNKNOWN_MODES)
def test_an_unknown_mode_of_an_operator_is_rejected(op_type: str, sketch: Callable[..., Any]) -> None:
    draw, message = UNKNOWN_MODES[op_type]
    head = sketch(DIMS, opset=20)
    flat = head.node("Flatten", head.node("GlobalAveragePool", draw(head)))
    model = head.model(head.node("MatMul", flat, head.normal(4, 3)))
    with pytest.raises(UnsupportedHead, match=message):
        attach_gradcam(model, feature_map="features", method="layercam")


def test_a_second_heatmap_is_rejected(sketch: Callable[..., Any]) -> None:
    head = sketch(DIMS)
    once = attach_gradcam(head.classify(head.node("GlobalAveragePool", "features"))).model
    with pytest.raises(HeatmapError, match="the model already has a heatmap, its output 'heatmap'"):
        attach_gradcam(once)


@pytest.mark.parametrize("op_type", ["Ceil", "Floor", "Round", "Sign", "Hardmax"])
def test_no_gradient_flows_through_an_operator_of_slope_0(
    op_type: str, sketch: Callable[..., Any], gradient_session: Callable[..., Any]
) -> None:
    """As in torch, whose rounding and sign have the gradient 0."""

    def gradient(bent: bool) -> Any:
        head = sketch((4, 3, 3))
        features = head.node("Add", "features", head.node(op_type, "features")) if bent else "features"
        feeds = {"image": np.random.default_rng(0).normal(size=(1, 4, 3, 3)).astype("f")}
        session = gradient_session(head.classify(features))
        return session.run(None, {**feeds, "class_index": np.array([1])})[-1]

    np.testing.assert_array_equal(gradient(True), gradient(False))


def test_an_error_names_the_operators_of_slope_0_that_cut_the_scores_off(
    sketch: Callable[..., Any],
) -> None:
    head = sketch(DIMS)
    with pytest.raises(HeatmapError, match="only through operators of slope 0: Round node 'Round1_0'"):
        attach_gradcam(head.classify(head.node("Round", "features")), feature_map="features")
