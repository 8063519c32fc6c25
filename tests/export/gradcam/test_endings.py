"""The logit is found behind a softmax or sigmoid in every form, and before any following operators."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest

from spyglass_export.gradcam import attach_gradcam

DIMS = (4, 6, 6)
Ending = Callable[[Any, str], str]


def _softmax(head: Any, logits: str) -> str:
    return head.node("Softmax", logits, axis=1)


def _sum(head: Any, tensor: str) -> str:
    return head.with_axes("ReduceSum", tensor, [1], 13)


def _shifted(head: Any, logits: str) -> str:
    return head.node("Sub", logits, head.with_axes("ReduceMax", logits, [1], 18))


def _written_out(head: Any, logits: str) -> str:
    exponentials = head.node("Exp", logits)
    return head.node("Div", exponentials, _sum(head, exponentials))


def _without_kept_axis(head: Any, logits: str) -> str:
    exponentials = head.node("Exp", logits)
    total = head.with_axes("ReduceSum", exponentials, [1], 13, keepdims=0)
    return head.node("Div", exponentials, head.with_axes("Unsqueeze", total, [1], 13))


def _by_reciprocal(head: Any, logits: str) -> str:
    exponentials = head.node("Exp", _shifted(head, logits))
    floored = head.node("Add", _sum(head, exponentials), head.weight(1e-9))
    return head.node("Mul", exponentials, head.node("Reciprocal", floored))


def _log_softmax_written_out(head: Any, logits: str) -> str:
    shifted = _shifted(head, logits)
    return head.node("Sub", shifted, head.node("Log", _sum(head, head.node("Exp", shifted))))


def _less_logarithm_of_sum(head: Any, logits: str) -> str:
    return head.node("Sub", logits, head.with_axes("ReduceLogSumExp", logits, [1], 18))


def _bounded_logarithm(head: Any, logits: str) -> str:
    bounded = head.node("Clip", _softmax(head, logits), head.weight(1e-7), head.weight(1.0))
    return head.node("Log", bounded)


def _plus_1(head: Any, tensor: str) -> str:
    return head.node("Add", head.weight(1.0), tensor)


def _sigmoid_by_quotient(head: Any, logits: str) -> str:
    exponential = head.node("Exp", head.node("Neg", logits))
    return head.node("Div", head.weight(1.0), _plus_1(head, exponential))


def _sigmoid_by_reciprocal(head: Any, logits: str) -> str:
    exponential = head.node("Exp", head.node("Neg", logits))
    return head.node("Reciprocal", _plus_1(head, exponential))


def _sigmoid_by_growth(head: Any, logits: str) -> str:
    exponential = head.node("Exp", logits)
    return head.node("Div", exponential, _plus_1(head, exponential))


def _by_top_1(head: Any, logits: str) -> str:
    largest, _ = head.many("TopK", [logits, head.integers(1)], 2)
    return head.node("Sub", logits, largest)


def _by_gather(head: Any, logits: str) -> str:
    largest = head.node("GatherElements", logits, head.node("ArgMax", logits, axis=1), axis=1)
    return head.node("Add", head.node("Neg", largest), logits)


ENDINGS: dict[str, Ending] = {
    "bounded": lambda h, x: h.node("Clip", _softmax(h, x), h.weight(1e-7), h.weight(1 - 1e-7)),
    "bounded by two": lambda h, x: h.node(
        "Min", h.node("Max", h.node("Sigmoid", x), h.weight(1e-7)), h.weight(1 - 1e-7)
    ),
    "in percent": lambda h, x: h.node("Mul", h.weight(100.0), _softmax(h, x)),
    "in percent, divided": lambda h, x: h.node("Div", h.node("Sigmoid", x), h.weight(0.01)),
    "with a lower bound": lambda h, x: h.node("Add", _softmax(h, x), h.weight(1e-7)),
    "logarithm": lambda h, x: h.node("Log", _softmax(h, x)),
    "logarithm of a bounded softmax": _bounded_logarithm,
    "exponential of a logarithm": lambda h, x: h.node("Exp", h.node("LogSoftmax", x, axis=1)),
    "softmax of a logarithm": lambda h, x: _softmax(h, h.node("LogSoftmax", x, axis=1)),
    "softmax minus the largest": lambda h, x: _softmax(h, _shifted(h, x)),
    "minus the largest": _shifted,
    "softmax minus the largest by TopK": lambda h, x: _softmax(h, _by_top_1(h, x)),
    "softmax minus the largest by ArgMax": lambda h, x: _softmax(h, _by_gather(h, x)),
    "softmax minus the largest of all": lambda h, x: _softmax(h, h.node("Sub", x, h.node("ReduceMax", x))),
    "written out": _written_out,
    "written out minus the largest": lambda h, x: _written_out(h, _shifted(h, x)),
    "written out without the kept axis": _without_kept_axis,
    "written out by a reciprocal": _by_reciprocal,
    "written out and bounded": lambda h, x: h.node("Clip", _written_out(h, x), h.weight(1e-7)),
    "logarithm of a written out softmax": lambda h, x: h.node("Log", _written_out(h, _shifted(h, x))),
    "logarithm written out": _log_softmax_written_out,
    "minus the logarithm of the sum": _less_logarithm_of_sum,
    "sigmoid by a quotient": _sigmoid_by_quotient,
    "sigmoid by a reciprocal": _sigmoid_by_reciprocal,
    "sigmoid by growth": _sigmoid_by_growth,
    "sigmoid by a quotient, bounded": lambda h, x: h.node("Clip", _sigmoid_by_quotient(h, x), h.weight(0.0)),
    "logarithm of a sigmoid": lambda h, x: h.node("Log", h.node("Sigmoid", x)),
}


def _logits(head: Any, weight: Any) -> str:
    mean = head.node("Flatten", head.node("GlobalAveragePool", "features"), axis=1)
    return head.node("MatMul", mean, head.weight(weight))


def _described(model: onnx.ModelProto) -> str:
    return next(value.doc_string for value in model.graph.output if value.name == "heatmap")


@pytest.mark.parametrize("opset", [11, 17, 21])
@pytest.mark.parametrize("ending", ENDINGS)
def test_every_ending_has_the_gradient_of_its_logit(
    ending: str,
    opset: int,
    sketch: Callable[..., Any],
    session_of: Callable[..., Any],
    pooled_heatmap: Callable[..., Any],
) -> None:
    """The probabilities are so close to 0 and 1 that their gradient is 0 in float32 for every class."""
    head = sketch(DIMS, opset)
    weight = np.random.default_rng(1).normal(size=(4, 3)) * 60
    logits = _logits(head, weight)
    attached = attach_gradcam(head.model(ENDINGS[ending](head, logits))).model
    assert _described(attached) == f"gradcam of 'features', gradient of the logit '{logits}'"
    session = session_of(attached)
    image = np.random.default_rng(2).uniform(0.2, 1, (2, *DIMS)).astype(np.float32)
    lit = 0.0
    for class_index in range(3):
        found = session.run(["heatmap"], {"image": image, "class_index": np.array([class_index])})[0]
        np.testing.assert_allclose(found, pooled_heatmap(image, weight, [class_index] * 2), atol=1e-5)
        lit = max(lit, found.max())
    assert lit == 1


def _less_mean(head: Any, logits: str) -> str:
    return head.node("Sub", logits, head.with_axes("ReduceMean", logits, [1], 18))


def _less_smallest(head: Any, logits: str) -> str:
    smallest = head.node("Neg", head.with_axes("ReduceMax", head.node("Neg", logits), [1], 18))
    return head.node("Sub", logits, smallest)


def _less_half_of_largest(head: Any, logits: str) -> str:
    half = head.node("Mul", head.with_axes("ReduceMax", logits, [1], 18), head.weight(0.5))
    return head.node("Sub", logits, half)


CENTRED: dict[str, Ending] = {
    "mean": _less_mean,
    "smallest": _less_smallest,
    "half of the largest": _less_half_of_largest,
}


@pytest.mark.parametrize("softmax", [False, True])
@pytest.mark.parametrize("subtrahend", CENTRED)
def test_a_subtrahend_that_is_not_the_largest_logit_stays_in_the_score(
    subtrahend: str,
    softmax: bool,
    sketch: Callable[..., Any],
    image: Callable[..., Any],
    assert_exact_gradient: Callable[..., None],
) -> None:
    """A softmax ignores the mean of the logits, but the gradient of z - mean(z) is not that of z."""
    head = sketch()
    flat = head.node("Flatten", head.node("Tanh", "features"), axis=1)
    centred = CENTRED[subtrahend](head, head.node("MatMul", flat, head.normal(60, 3)))
    exact = head.model(centred)
    assert_exact_gradient(exact, image())
    if softmax:
        attached = attach_gradcam(head.model(_softmax(head, centred)), feature_map="features")
        assert f"gradient of the logit '{centred}'" in _described(attached.model)


BOTH: dict[str, Ending] = {
    "bounded": lambda h, p: h.node("Clip", p, h.weight(1e-7), h.weight(1 - 1e-7)),
    "in percent": lambda h, p: h.node("Mul", p, h.weight(100.0)),
    "logarithm": lambda h, p: h.node("Log", h.node("Add", p, h.weight(1e-7))),
}


@pytest.mark.parametrize("after", BOTH)
@pytest.mark.parametrize("sigmoid", [_sigmoid_by_quotient, lambda h, x: h.node("Sigmoid", x)])
@pytest.mark.parametrize("speaks_for", [0, 1])
def test_one_logit_for_two_classes_is_found(
    speaks_for: int,
    sigmoid: Ending,
    after: str,
    sketch: Callable[..., Any],
    session_of: Callable[..., Any],
    pooled_heatmap: Callable[..., Any],
) -> None:
    head = sketch(DIMS)
    weight = np.random.default_rng(1).normal(size=(4, 1)) * 40
    logit = _logits(head, weight)
    probability = sigmoid(head, logit)
    rest = head.node("Sub", head.weight(1.0), probability)
    both = [rest, probability] if speaks_for == 1 else [probability, rest]
    attached = attach_gradcam(head.model(BOTH[after](head, head.node("Concat", *both, axis=1)))).model
    assert _described(attached).endswith(f"gradient of the logit '{logit}'")
    columns = np.hstack([-weight, weight] if speaks_for == 1 else [weight, -weight])
    image = np.random.default_rng(2).uniform(0.2, 1, (2, *DIMS)).astype(np.float32)
    for class_index in (0, 1):
        feeds = {"image": image, "class_index": np.array([class_index])}
        found = session_of(attached).run(["heatmap"], feeds)[0]
        np.testing.assert_allclose(found, pooled_heatmap(image, columns, [class_index] * 2), atol=1e-5)


def _mean_of_two(head: Any) -> str:
    both = [_softmax(head, _logits(head, head.random.normal(size=(4, 3)))) for _ in range(2)]
    return head.node("Mul", head.node("Add", *both), head.weight(0.5))


def _mean_of_places(head: Any) -> str:
    by_place = head.node("Softmax", head.node("Conv", "features", head.normal(3, 4, 1, 1)), axis=1)
    return head.node("Flatten", head.node("GlobalAveragePool", by_place), axis=1)


def _weighed(head: Any) -> str:
    return head.node("Mul", _softmax(head, _logits(head, np.eye(4, 3))), head.weight([[1.0, 2.0, 3.0]]))


def _hard_sigmoid(head: Any) -> str:
    return head.node("HardSigmoid", _logits(head, np.eye(4, 3)))


@pytest.mark.parametrize("draw", [_mean_of_two, _mean_of_places, _weighed, _hard_sigmoid])
def test_probabilities_without_a_known_logit_are_described_as_probabilities(
    draw: Callable[[Any], str], sketch: Callable[..., Any]
) -> None:
    head = sketch(DIMS)
    output = draw(head)
    described = _described(attach_gradcam(head.model(output), feature_map="features").model)
    assert described == f"gradcam of 'features', gradient of the probability '{output}'"


def _gated(head: Any) -> str:
    gate = head.node("Sigmoid", _logits(head, np.eye(4, 3)))
    return head.node("Mul", _logits(head, np.eye(4, 3)), gate)


def _bounded_logits(head: Any) -> str:
    return head.node("Clip", _logits(head, np.eye(4, 3)), head.weight(-9.0), head.weight(9.0))


def _read_from_probabilities(head: Any) -> str:
    return head.node("MatMul", _softmax(head, _logits(head, np.eye(4, 3))), head.normal(3, 3))


@pytest.mark.parametrize("draw", [_gated, _bounded_logits, _read_from_probabilities])
def test_scores_that_are_not_probabilities_count_as_logits(
    draw: Callable[[Any], str], sketch: Callable[..., Any]
) -> None:
    head = sketch(DIMS)
    output = draw(head)
    assert _described(attach_gradcam(head.model(output)).model).endswith(f"gradient of the logit '{output}'")


def test_the_probability_is_differentiated_if_requested(
    sketch: Callable[..., Any],
) -> None:
    head = sketch(DIMS)
    output = _written_out(head, _logits(head, np.eye(4, 3)))
    attached = attach_gradcam(head.model(output), gradient_of="probability").model
    assert _described(attached).endswith(f"gradient of the probability '{output}'")


def test_eigencam_names_no_gradient(pooled: Callable[..., Any]) -> None:
    assert _described(attach_gradcam(pooled()[0], method="eigencam").model) == "eigencam of 'features'"
