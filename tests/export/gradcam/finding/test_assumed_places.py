"""Maps behind operators that are not ONNX's own, or whose effect on places is unknown."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from onnx import TensorProto, helper

from spyglass_export.gradcam import attach_gradcam

DIMS = (4, 6, 8)


def _classified(head: Any, tensor: str) -> Any:
    pooled = head.node("Flatten", head.node("GlobalAveragePool", tensor))
    return head.model(head.node("MatMul", pooled, head.normal(5, 3)))


def test_a_convolution_that_onnx_runtime_fused_has_places(
    sketch: Callable[..., Any], session_of: Callable[..., Any]
) -> None:
    head = sketch(DIMS)
    inputs = ["features", head.normal(5, 4, 3, 3), head.normal(5)]
    fused = helper.make_node("FusedConv", inputs, ["fused"], domain="com.microsoft", activation="Relu")
    head.nodes.append(fused)
    attached = attach_gradcam(_classified(head, "fused"))
    assert attached.layer == "fused"
    assert attached.notices == ()
    found = session_of(attached.model).run(["heatmap"], {"image": np.ones((1, *DIMS), np.float32)})[0]
    assert found.shape == (1, 4, 6)


def test_places_behind_an_operator_that_hides_them_are_those_of_the_axes_and_the_user_is_told(
    sketch: Callable[..., Any],
) -> None:
    head = sketch(DIMS)
    parts = head.node("SequenceConstruct", "features", head.node("Neg", "features"))
    bright = head.node("Greater", head.node("ReduceMean", "image", keepdims=0), head.weight(0.0))
    place = head.node("Cast", bright, to=TensorProto.INT64)
    last = head.node("Conv", head.node("SequenceAt", parts, place), head.normal(5, 4, 3, 3))
    attached = attach_gradcam(_classified(head, last))
    assert attached.layer == last
    (notice,) = attached.notices
    assert f"an operator hides where the places of '{last}' lie" in notice
