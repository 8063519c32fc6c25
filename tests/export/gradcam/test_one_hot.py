"""The gradient of a class score stays one-hot up to the weights of the last layer, and is exact there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest
from onnx import helper

from spyglass_export.gradcam import attach_gradcam

Array = npt.NDArray[Any]
Draw = Callable[[Any], str]
CLASSES = 4


def _pooled(head: Any) -> str:
    """The means of the feature map's channels, [batch, 3, 1, 1]."""
    return head.node("GlobalAveragePool", head.node("Tanh", "features"))


def _logits(head: Any, tensor: str = "") -> str:
    flat = head.node("Flatten", tensor or _pooled(head), axis=1)
    return head.node("Gemm", flat, head.normal(3, CLASSES), head.normal(CLASSES))


def _maps(head: Any) -> str:
    """A feature map of every class, [batch, 4, 4, 5]."""
    return head.node("Conv", head.node("Tanh", "features"), head.normal(CLASSES, 3, 1, 1))


def _filtered(head: Any) -> str:
    """Logits [batch, 4, 1, 1] from a convolution on the pooled maps."""
    return head.node("Conv", _pooled(head), head.normal(CLASSES, 3, 1, 1), head.normal(CLASSES))


def _own_factor(head: Any) -> str:
    """A factor of each image, [batch, 1], that does not depend on the feature map."""
    mean = head.with_axes("ReduceMean", "image", [1, 2, 3], 18, keepdims=0)
    return head.with_axes("Unsqueeze", head.node("Exp", mean), [1], 13)


def _token(head: Any) -> str:
    return head.node("Reshape", _pooled(head), head.integers(0, 1, 3))


def _tokens(head: Any) -> str:
    tokens = head.node("Reshape", head.node("Tanh", "features"), head.integers(0, 3, -1))
    return head.node("Transpose", tokens, perm=[0, 2, 1])


ENDS: dict[str, Draw] = {
    "Flatten": lambda h: h.node("Flatten", _logits(h), axis=1),
    "Reshape": lambda h: h.node("Reshape", _logits(h), h.integers(-1, CLASSES)),
    "Reshape and back": lambda h: h.node(
        "Flatten", h.node("Reshape", _logits(h), h.integers(-1, 1, CLASSES, 1)), axis=1
    ),
    "Cast": lambda h: h.node("Cast", h.node("Cast", _logits(h), to=11), to=1),
    "a bias": lambda h: h.node("Add", h.normal(CLASSES), _logits(h)),
    "a difference": lambda h: h.node("Sub", _logits(h), h.normal(1, CLASSES)),
    "a scale": lambda h: h.node("Mul", _logits(h), h.weight(3.0)),
    "a scale on the left": lambda h: h.node("Mul", h.weight([[-2.0]]), _logits(h)),
    "a temperature": lambda h: h.node("Div", _logits(h), h.weight([0.5])),
    "a scale and a temperature": lambda h: h.node(
        "Div", h.node("Mul", _logits(h), h.weight(3.0)), h.weight([2.0])
    ),
    "a computed scale": lambda h: h.node("Mul", _logits(h), h.node("Exp", h.weight([0.7]))),
    "a scale for each class": lambda h: h.node("Mul", _logits(h), h.normal(CLASSES)),
    "a divisor for each class": lambda h: h.node("Div", _logits(h), h.normal(1, CLASSES)),
    "a scale for each class and all": lambda h: h.node(
        "Mul", h.weight(0.5), h.node("Mul", _logits(h), h.normal(1, CLASSES))
    ),
    "a scale of each image": lambda h: h.node("Mul", _logits(h), _own_factor(h)),
    "scales of each image and class": lambda h: h.node(
        "Div", h.node("Mul", _logits(h), h.normal(CLASSES)), _own_factor(h)
    ),
    "a negation": lambda h: h.node("Neg", _logits(h)),
    "Gemm with alpha": lambda h: h.node(
        "Gemm", h.node("Flatten", _pooled(h)), h.normal(CLASSES, 3), transB=1, alpha=0.25
    ),
    "Gemm with alpha, scaled": lambda h: h.node(
        "Mul",
        h.node("Gemm", h.node("Flatten", _pooled(h)), h.normal(3, CLASSES), alpha=0.25),
        h.normal(CLASSES),
    ),
    "MatMul and Add": lambda h: h.node(
        "Add", h.node("MatMul", h.node("Flatten", _pooled(h)), h.normal(3, CLASSES)), h.normal(CLASSES)
    ),
    "MatMul of one token": lambda h: h.node(
        "Flatten", h.node("MatMul", _token(h), h.normal(3, CLASSES)), axis=1
    ),
    "MatMul of one token, not flattened": lambda h: h.node("MatMul", _token(h), h.normal(3, CLASSES)),
    "the mean of tokens' logits": lambda h: h.with_axes(
        "ReduceMean", h.node("MatMul", _tokens(h), h.normal(3, CLASSES)), [1], 18, keepdims=0
    ),
    "the mean of tokens' logits, scaled": lambda h: h.node(
        "Mul",
        h.with_axes("ReduceMean", h.node("MatMul", _tokens(h), h.normal(3, CLASSES)), [1], 18, keepdims=1),
        h.normal(CLASSES),
    ),
    "a convolution of pooled maps": _filtered,
    "a convolution of pooled maps, flattened": lambda h: h.node("Flatten", _filtered(h), axis=1),
    "a convolution of pooled maps, squeezed": lambda h: h.with_axes("Squeeze", _filtered(h), [2, 3], 13),
    "a convolution of pooled maps, scaled": lambda h: h.node("Mul", _filtered(h), h.normal(1, CLASSES, 1, 1)),
    "a convolution of pooled maps, turned": lambda h: h.node("Transpose", _filtered(h), perm=[0, 2, 3, 1]),
    "class maps and GlobalAveragePool": lambda h: h.node("Flatten", h.node("GlobalAveragePool", _maps(h))),
    "class maps and GlobalAveragePool, scaled": lambda h: h.node(
        "Mul", h.node("Flatten", h.node("GlobalAveragePool", _maps(h))), h.normal(CLASSES)
    ),
    "class maps and ReduceMean": lambda h: h.with_axes("ReduceMean", _maps(h), [2, 3], 18, keepdims=0),
    "turned class maps and ReduceMean": lambda h: h.with_axes(
        "ReduceMean", h.node("Transpose", _maps(h), perm=[0, 2, 3, 1]), [1, -2], 18, keepdims=0
    ),
    "a convolution of the whole map": lambda h: h.node(
        "Conv", h.node("Tanh", "features"), h.normal(CLASSES, 3, 4, 5), h.normal(CLASSES)
    ),
    "two heads": lambda h: h.node("Div", h.node("Add", _logits(h), _logits(h)), h.weight(2.0)),
}


def _nodes(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                yield from _nodes(attribute.g)


def _is_written_out(model: onnx.ModelProto) -> bool:
    attached = attach_gradcam(model, feature_map="features").model
    return any(node.op_type == "ScatterElements" for node in _nodes(attached.graph))


@pytest.mark.parametrize("end", ENDS)
def test_the_gradient_of_a_class_score_is_its_finite_difference(
    end: str,
    sketch: Callable[..., Any],
    image: Callable[..., Array],
    assert_exact_gradient: Callable[..., None],
) -> None:
    head = sketch()
    assert_exact_gradient(head.model(ENDS[end](head)), image())


@pytest.mark.parametrize("end", ENDS)
def test_no_tensor_of_rows_by_classes_is_computed(end: str, sketch: Callable[..., Any]) -> None:
    head = sketch()
    assert not _is_written_out(head.model(ENDS[end](head)))


@pytest.mark.parametrize("end", ENDS)
def test_images_and_classes_of_a_batch_do_not_mix(
    end: str,
    sketch: Callable[..., Any],
    image: Callable[..., Array],
    session_of: Callable[[onnx.ModelProto], onnxruntime.InferenceSession],
) -> None:
    head = sketch()
    model = head.model(ENDS[end](head))
    session = session_of(attach_gradcam(model, feature_map="features").model)
    images, classes = np.concatenate([image(seed=seed) for seed in range(3)]), np.array([3, 0, 2])

    together = session.run(["heatmap"], {"image": images, "class_index": classes})[0]
    of_one = session.run(["heatmap"], {"image": images[1:2], "class_index": classes})[0]

    for row, one in enumerate(images):
        feeds = {"image": one[np.newaxis], "class_index": classes[row : row + 1]}
        alone = session.run(["heatmap"], feeds)[0]
        np.testing.assert_allclose(together[row], alone[0], atol=1e-5)
    np.testing.assert_allclose(of_one[1], together[1], atol=1e-5)
    assert together.max() > 0


@pytest.mark.parametrize("end", ["Reshape", "a scale for each class", "a convolution of pooled maps"])
def test_a_class_that_does_not_exist_is_rejected(
    end: str,
    sketch: Callable[..., Any],
    image: Callable[..., Array],
    session_of: Callable[[onnx.ModelProto], onnxruntime.InferenceSession],
) -> None:
    head = sketch()
    session = session_of(attach_gradcam(head.model(ENDS[end](head)), feature_map="features").model)
    with pytest.raises(Exception, match=r"out of.*bounds|data bounds"):
        session.run(["heatmap"], {"image": image(), "class_index": np.array([CLASSES])})


MIXING: dict[str, Draw] = {
    "Tanh": lambda h: h.node("Tanh", _logits(h)),
    "a product of two heads": lambda h: h.node("Mul", _logits(h), _logits(h)),
    "a divisor from the feature map": lambda h: h.node("Div", h.weight(1.0), h.node("Exp", _logits(h))),
    "a broadcast summand": lambda h: h.node(
        "Add", h.node("Gemm", h.node("Flatten", _pooled(h)), h.normal(3, 1)), h.normal(CLASSES)
    ),
    "classes in two groups": lambda h: h.node(
        "Flatten", h.node("Softmax", h.node("Reshape", _logits(h), h.integers(-1, 2, 2)), axis=2), axis=1
    ),
    "groups of channels": lambda h: h.node("Conv", _pooled(h), h.normal(6, 1, 1, 1), group=3),
    "a convolution with padding": lambda h: h.node(
        "GlobalAveragePool", h.node("Conv", "features", h.normal(CLASSES, 3, 3, 3), pads=[1, 1, 1, 1])
    ),
    "a Gemm of turned features": lambda h: h.node(
        "Gemm", h.node("Transpose", h.node("Flatten", _pooled(h)), perm=[1, 0]), h.normal(3, 4), transA=1
    ),
    "a product of scores on the left": lambda h: h.node(
        "Reshape",
        h.node("MatMul", h.normal(CLASSES, 3), h.node("Reshape", _pooled(h), h.integers(0, 3, 1))),
        h.integers(0, CLASSES),
    ),
}


@pytest.mark.parametrize("end", MIXING)
def test_other_ends_are_exact_without_the_shortcut(
    end: str,
    sketch: Callable[..., Any],
    image: Callable[..., Array],
    assert_exact_gradient: Callable[..., None],
) -> None:
    head = sketch()
    model = head.model(MIXING[end](head))
    assert_exact_gradient(model, image())
    assert _is_written_out(model)


@pytest.mark.parametrize("turned", [0, 1])
def test_a_dense_layer_on_the_flattened_map_needs_a_row_of_its_summed_weight(
    turned: int,
    sketch: Callable[..., Any],
    image: Callable[..., Array],
    session_of: Callable[[onnx.ModelProto], onnxruntime.InferenceSession],
) -> None:
    head = sketch()
    flat = head.node("Flatten", "features", axis=1)
    weight = head.normal(*((CLASSES, 60) if turned else (60, CLASSES)))
    scaled = head.node("Mul", head.node("Gemm", flat, weight, transB=turned, alpha=0.5), head.normal(CLASSES))
    model = head.model(scaled)
    attached = attach_gradcam(model, feature_map="features").model

    found = session_of(attached).run(["heatmap"], {"image": image(), "class_index": np.arange(CLASSES)})[0]

    weights, scales = (onnx.numpy_helper.to_array(tensor) for tensor in head.weights[1:])
    rows = (weights if turned else weights.T).reshape(CLASSES, 3, 20).sum(2) * scales[:, np.newaxis]
    raw = np.maximum(np.einsum("kc,chw->khw", rows, image()[0]), 0)
    np.testing.assert_allclose(found, raw / np.maximum(raw.max((1, 2), keepdims=True), 1e-12), atol=1e-5)
    assert not _is_written_out(model)
    assert [node.op_type for node in _nodes(attached.graph)].count("Gemm") == 1


def test_scores_with_an_open_number_of_classes_have_a_heatmap(
    sketch: Callable[..., Any],
    image: Callable[..., Array],
    session_of: Callable[[onnx.ModelProto], onnxruntime.InferenceSession],
) -> None:
    head = sketch()
    model = head.model(head.node("Flatten", _filtered(head), axis=1))
    del model.graph.value_info[:]
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info(model.graph.output[0].name, 1, ["b", "c"]))
    attached = attach_gradcam(model, feature_map="features").model

    found = session_of(attached).run(["heatmap"], {"image": image()})[0]

    assert found.shape == (1, 4, 5)
    assert found.max() == 1
