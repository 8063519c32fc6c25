"""The gradient of a token that a classifier reads stays a slice up to attention, and is exact."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper

from spyglass_export.gradcam import attach_gradcam
from spyglass_export.gradcam.builder import GraphBuilder
from spyglass_export.gradcam.graph_view import GraphView
from spyglass_export.gradcam.head import find_head
from spyglass_export.gradcam.reverse import gradients_at_ends
from spyglass_export.gradcam.scores import explained_scores
from spyglass_export.gradcam.selection import seed
from spyglass_export.gradcam.sliced import AxisRange, Sliced

# Tokens [batch, 20, 4] of a feature map [batch, 4, 4, 5].
DIMS, TOKENS, WIDTH = (4, 4, 5), 20, 4
Draw = Callable[[Any, str], str]


def _tokens(head: Any) -> str:
    rows = head.node("Reshape", "features", head.integers(0, WIDTH, TOKENS))
    return head.node("Transpose", rows, perm=[0, 2, 1])


def _read(head: Any, tokens: str, *, start: int = 3, stop: int = 4) -> str:
    """Read tokens by their range, as x[:, start:stop]."""
    return head.node("Slice", tokens, *(head.integers(bound) for bound in (start, stop, 1)))


def _by_head(head: Any, tokens: str) -> str:
    """[batch, 2 heads, tokens, 2 numbers]."""
    projected = head.node("MatMul", tokens, head.normal(WIDTH, WIDTH))
    split = head.node("Reshape", projected, head.integers(0, TOKENS, 2, 2))
    return head.node("Transpose", split, perm=[0, 2, 1, 3])


def _attention(head: Any, tokens: str) -> str:
    query, key, value = (_by_head(head, tokens) for _ in range(3))
    alike = head.node("MatMul", query, head.node("Transpose", key, perm=[0, 1, 3, 2]))
    mixed = head.node("MatMul", head.node("Softmax", alike, axis=-1), value)
    joined = head.node("Transpose", mixed, perm=[0, 2, 1, 3])
    return head.node("Reshape", joined, head.integers(0, TOKENS, WIDTH))


def _stacked_attention(head: Any, tokens: str) -> str:
    """Queries, keys and values from one product, as in timm."""
    projected = head.node("MatMul", tokens, head.normal(WIDTH, 3 * WIDTH))
    stack = head.node("Reshape", projected, head.integers(0, TOKENS, 3, 2, 2))
    parts = head.many("Split", [head.node("Transpose", stack, perm=[2, 0, 3, 1, 4])], 3, axis=0)
    query, key, value = (head.with_axes("Squeeze", part, [0], 13) for part in parts)
    alike = head.node("MatMul", query, head.node("Transpose", key, perm=[0, 1, 3, 2]))
    mixed = head.node("MatMul", head.node("Softmax", alike, axis=-1), value)
    joined = head.node("Transpose", mixed, perm=[0, 2, 1, 3])
    return head.node("Reshape", joined, head.integers(0, TOKENS, WIDTH))


def _mean_of_tokens(head: Any, tokens: str) -> str:
    """A number for each channel that every token is multiplied by."""
    return head.node("Mul", tokens, head.with_axes("ReduceMean", tokens, [1], 18))


def _standardised(head: Any, tokens: str) -> str:
    """A normalisation of each token in smaller operators."""
    centred = head.node("Sub", tokens, head.with_axes("ReduceMean", tokens, [2], 18))
    square = head.with_axes("ReduceMean", head.node("Pow", centred, head.weight(2.0)), [2], 18)
    root = head.node("Sqrt", head.node("Add", square, head.weight(1e-5)))
    return head.node("Div", centred, root)


def _folded(head: Any, tokens: str) -> str:
    """The axis of tokens between other axes of known size."""
    split = head.node("Reshape", tokens, head.integers(0, 1, TOKENS, 2, 2))
    moved = head.node("Transpose", head.node("Tanh", split), perm=[0, 1, 3, 2, 4])
    back = head.node("Transpose", moved, perm=[0, 1, 3, 2, 4])
    return head.node("Reshape", back, head.integers(0, TOKENS, WIDTH))


def _glued(head: Any, tokens: str) -> str:
    """Channels beside each other, then every second one."""
    both = head.node("Concat", tokens, head.node("Tanh", tokens), axis=2)
    bounds = (head.integers(bound) for bound in (0, 2 * WIDTH, 2, 2))
    start, stop, axis, step = bounds
    return head.node("Slice", both, start, stop, axis, step)


def _parted(head: Any, tokens: str) -> str:
    """The product of two parts of the channels, which only one Split reads."""
    parts = head.many("Split", [tokens], 2, axis=2)
    return head.node("Concat", head.node("Mul", *parts), parts[0], axis=2)


KEPT: dict[str, Draw] = {
    "a bias": lambda h, t: h.node("Add", t, h.normal(WIDTH)),
    "a difference for each token": lambda h, t: h.node("Sub", h.normal(1, TOKENS, WIDTH), t),
    "a factor for each token": lambda h, t: h.node("Mul", t, h.normal(TOKENS, 1)),
    "a quotient": lambda h, t: h.node("Div", t, h.node("Exp", t)),
    "a residual sum": lambda h, t: h.node("Sum", t, h.node("Tanh", t), t),
    "Clip": lambda h, t: h.node("Clip", t, h.weight(-3.0), h.weight(3.0)),
    "Gelu in smaller operators": lambda h, t: h.node("Mul", t, h.node("Erf", t)),
    "PRelu for each token": lambda h, t: h.node("PRelu", t, h.normal(TOKENS, 1)),
    "LayerNormalization": lambda h, t: h.node("LayerNormalization", t, h.normal(WIDTH), h.normal(WIDTH)),
    "a normalisation in smaller operators": _standardised,
    "Softmax": lambda h, t: h.node("Softmax", t, axis=-1),
    "LogSoftmax": lambda h, t: h.node("LogSoftmax", t, axis=2),
    "ReduceL2": lambda h, t: h.node("Div", t, h.node("ReduceL2", t, axes=[2])),
    "a linear layer": lambda h, t: h.node("MatMul", t, h.normal(WIDTH, WIDTH)),
    "two linear layers": lambda h, t: h.node(
        "MatMul", h.node("Relu", h.node("MatMul", t, h.normal(WIDTH, 6))), h.normal(6, WIDTH)
    ),
    "Reshape and Transpose": _folded,
    "Concat and Slice of channels": _glued,
    "Gather of channels": lambda h, t: h.node("Gather", t, h.integers(1, 0, 2, 2), axis=2),
}
READ_WHOLE: dict[str, Draw] = {
    "attention": _attention,
    "attention of one product": _stacked_attention,
    "a mean over the tokens": _mean_of_tokens,
    "a product along the tokens": lambda h, t: h.node("MatMul", h.normal(TOKENS, TOKENS), t),
    "Softmax over the tokens": lambda h, t: h.node("Softmax", t, axis=1),
    "LayerNormalization over tokens": lambda h, t: h.node(
        "LayerNormalization", t, h.normal(TOKENS, WIDTH), axis=1
    ),
    "a Reshape that mixes tokens": lambda h, t: h.node(
        "Reshape", h.node("Reshape", t, h.integers(0, WIDTH, TOKENS)), h.integers(0, TOKENS, WIDTH)
    ),
    "Concat of tokens": lambda h, t: h.node("Concat", h.node("Exp", t), t, axis=1),
    "Split of channels": _parted,
}


def _network(head: Any, draw: Draw, read: Callable[..., str] = _read) -> Any:
    """Tokens, the operator between two activations, and one token for the classifier."""
    tokens = head.node("Tanh", _tokens(head))
    return head.classify(read(head, head.node("Sigmoid", draw(head, tokens))))


def _end(model: Any) -> Any:
    """The gradient at the feature map, as the reverse pass has it."""
    view = GraphView(model)
    scores = explained_scores(view, None, "logit")
    build = GraphBuilder(view.opset, set(view.producers))
    (first, *_) = [node for node in view.nodes if node.op_type == "Tanh"]
    head = find_head(view, first.outputs[0], scores.tensor)
    return gradients_at_ends(view, build, head, seed(view, build, scores), ())[first.outputs[0]]


@pytest.mark.parametrize("name", [*KEPT, *READ_WHOLE])
def test_the_gradient_of_one_token_is_exact(
    name: str,
    sketch: Callable[..., Any],
    image: Callable[..., Any],
    assert_exact_gradient: Callable[..., None],
) -> None:
    model = _network(sketch(DIMS), (KEPT | READ_WHOLE)[name])
    assert_exact_gradient(model, image(DIMS))


@pytest.mark.parametrize("name", KEPT)
def test_operators_on_each_token_keep_a_slice(name: str, sketch: Callable[..., Any]) -> None:
    end = _end(_network(sketch(DIMS), KEPT[name]))
    assert isinstance(end, Sliced)
    assert end.within == AxisRange(1, 3, 4)
    assert end.part.of.dims == (None, 1, WIDTH)


@pytest.mark.parametrize("name", ["attention", "a mean over the tokens", "Softmax over the tokens"])
def test_operators_that_mix_tokens_end_a_slice(name: str, sketch: Callable[..., Any]) -> None:
    assert not isinstance(_end(_network(sketch(DIMS), READ_WHOLE[name])), Sliced)


def _number(head: Any, tokens: str) -> str:
    return head.node("Gather", tokens, head.weight(-1, np.int64), axis=1)


def _neighbours(head: Any, tokens: str) -> str:
    return head.node("Gather", tokens, head.integers(4, 5), axis=1)


def _first_and_second(head: Any, tokens: str) -> str:
    """A class token and a distillation token."""
    return head.node(
        "Add", *(head.node("Gather", tokens, head.weight(place, np.int64), axis=1) for place in (0, 1))
    )


def _overlapping(head: Any, tokens: str) -> str:
    return head.node("Mul", _read(head, tokens, start=2, stop=4), _read(head, tokens, start=3, stop=5))


def _distant(head: Any, tokens: str) -> str:
    return head.node("Mul", _read(head, tokens, start=2, stop=3), _read(head, tokens, start=6, stop=7))


READERS = {
    _number: AxisRange(1, 19, 20),
    _neighbours: AxisRange(1, 4, 6),
    _first_and_second: AxisRange(1, 0, 2),
    _overlapping: AxisRange(1, 2, 5),
    _distant: AxisRange(1, 2, 7),
}


@pytest.mark.parametrize("read", READERS)
def test_tokens_may_be_read_in_several_ways(
    read: Any,
    sketch: Callable[..., Any],
    image: Callable[..., Any],
    assert_exact_gradient: Callable[..., None],
) -> None:
    model = _network(sketch(DIMS), KEPT["a linear layer"], read)
    assert _end(model).within == READERS[read]
    assert_exact_gradient(model, image(DIMS))


def test_tokens_with_gaps_are_read_whole(
    sketch: Callable[..., Any], image: Callable[..., Any], assert_exact_gradient: Callable[..., None]
) -> None:
    model = _network(
        sketch(DIMS), KEPT["a linear layer"], lambda h, t: h.node("Gather", t, h.integers(7, 2, 7), axis=1)
    )
    assert not isinstance(_end(model), Sliced)
    assert_exact_gradient(model, image(DIMS))


def _pooled_by_one_query(head: Any, tokens: str, heads: int = 2) -> str:
    """Attention in one operator, opset 23."""
    query, key, value = (head.node("MatMul", tokens, head.normal(WIDTH, WIDTH)) for _ in range(3))
    return head.node("Attention", query, key, value, q_num_heads=heads, kv_num_heads=heads)


def test_attention_in_one_operator_is_exact_for_one_query(
    sketch: Callable[..., Any], image: Callable[..., Any], assert_exact_gradient: Callable[..., None]
) -> None:
    assert_exact_gradient(_network(sketch(DIMS, 23), _pooled_by_one_query), image(DIMS))


def test_a_token_that_is_read_after_an_axis_of_unknown_size_is_exact(
    sketch: Callable[..., Any], image: Callable[..., Any], assert_exact_gradient: Callable[..., None]
) -> None:
    """Tokens [tokens, batch, channels], as torch.nn.MultiheadAttention has them."""

    def first(head: Any, tokens: str) -> str:
        turned = head.node("Transpose", tokens, perm=[1, 0, 2])
        split = head.node("Reshape", head.node("Tanh", turned), head.integers(TOKENS, -1, 2))
        joined = head.node("Reshape", head.node("Exp", split), head.integers(TOKENS, -1, WIDTH))
        return head.node("Gather", joined, head.weight(5, np.int64), axis=0)

    model = _network(sketch(DIMS), KEPT["a bias"], first)
    assert _end(model).within == AxisRange(1, 5, 6)
    assert_exact_gradient(model, image(DIMS))


def test_every_image_of_a_batch_and_every_class_has_its_own_map(
    sketch: Callable[..., Any], session_of: Callable[..., Any]
) -> None:
    model = _network(sketch(DIMS), _stacked_attention)
    session = session_of(attach_gradcam(model, feature_map="features").model)
    images = np.random.default_rng(1).normal(size=(3, *DIMS)).astype(np.float32)
    alone = [
        session.run(["heatmap"], {"image": each[None], "class_index": np.arange(3)})[0] for each in images
    ]
    for number in range(3):
        together = session.run(["heatmap"], {"image": images, "class_index": np.array([number])})[0]
        np.testing.assert_allclose(together, np.stack([maps[number] for maps in alone]), atol=2e-5)


def test_the_branch_holds_no_node_that_it_does_not_need(sketch: Callable[..., Any]) -> None:
    attached = attach_gradcam(_network(sketch(DIMS), _stacked_attention), feature_map="features").model
    (choice,) = [node for node in attached.graph.node if node.op_type == "If"]
    branch = helper.get_node_attr_value(choice, "then_branch")
    read = {name for node in branch.node for name in node.input} | {output.name for output in branch.output}
    assert all(read.intersection(node.output) for node in branch.node)
    assert {constant.name for constant in branch.initializer} <= read
    assert branch.output[0].type.tensor_type.elem_type == TensorProto.FLOAT
