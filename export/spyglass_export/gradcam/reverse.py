"""The reverse pass: from the gradient of the scores back to the feature map, node by node."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence

# Importing the rules registers them.
from spyglass_export.gradcam import rules as rules
from spyglass_export.gradcam.builder import GraphBuilder
from spyglass_export.gradcam.cotangent import Cotangent, OneHot, total
from spyglass_export.gradcam.graph_view import GraphView
from spyglass_export.gradcam.head import Head
from spyglass_export.gradcam.node import Node
from spyglass_export.gradcam.one_hot import one_hot_gradients
from spyglass_export.gradcam.registry import reads_every_output, rule_for
from spyglass_export.gradcam.selection import written_out
from spyglass_export.gradcam.sliced import Sliced, sliced_by_node, sum_along_axis, whole_gradient
from spyglass_export.gradcam.sliced_step import gradients_of_slice
from spyglass_export.gradcam.step import Step, unsupported

Gradient = Cotangent | OneHot | Sliced


def reverse_pass(
    view: GraphView, build: GraphBuilder, head: Head, start: Gradient, passed: Collection[Node] = ()
) -> dict[str, Cotangent]:
    """Append the reverse pass to `build` and return the gradients at its ends, by tensor.

    `start` is the gradient of the head's scores. Without `passed`, the only end is the feature map. The pass
    leaves out the nodes in `passed`, so their outputs are ends too. Raises UnsupportedHead for a node that
    has no gradient here.
    """
    ends = gradients_at_ends(view, build, head, start, passed)
    return {name: full(build, gradient) for name, gradient in ends.items()}


def gradients_at_ends(
    view: GraphView, build: GraphBuilder, head: Head, start: Gradient, passed: Collection[Node]
) -> dict[str, Gradient]:
    """Return what `reverse_pass` returns, but leave gradients one-hot or sliced if they reach an end so."""
    arriving: dict[str, list[Gradient]] = defaultdict(list)
    arriving[head.scores].append(start)
    for node in reversed(head.nodes):
        if node in passed:
            continue
        outputs = {index: arriving.pop(name) for index, name in enumerate(node.outputs) if name in arriving}
        merged = {index: _merge(build, gradients) for index, gradients in outputs.items()}
        for index, gradient in _through(view, build, head, node, merged).items():
            arriving[node.inputs[index]].append(gradient)
    return {name: _merge(build, gradients) for name, gradients in arriving.items()}


def full(build: GraphBuilder, gradient: Gradient) -> Cotangent:
    """Return a gradient as a tensor, with all its zeros."""
    if isinstance(gradient, OneHot):
        return written_out(build, gradient)
    return whole_gradient(build, gradient) if isinstance(gradient, Sliced) else gradient


def _merge(build: GraphBuilder, gradients: Sequence[Gradient]) -> Gradient:
    if len(gradients) == 1:
        return gradients[0]
    others: list[Cotangent] = []
    by_axis: dict[int, list[Sliced]] = defaultdict(list)
    for gradient in gradients:
        if isinstance(gradient, Sliced):
            by_axis[gradient.within.axis].append(gradient)
        else:
            others.append(full(build, gradient))
    sliced = [sum_along_axis(build, alike) for alike in by_axis.values()]
    if not others and len(sliced) == 1:
        return sliced[0]
    return total(build, [*others, *(whole_gradient(build, each) for each in sliced)])


def _through(
    view: GraphView, build: GraphBuilder, head: Head, node: Node, outputs: Mapping[int, Gradient]
) -> Mapping[int, Gradient]:
    """The gradients of a node's inputs on the path, from those of its outputs."""
    rule, required = rule_for(node), head.reads(node)
    kept = _kept_small(Step(node, {}, required, view, build), outputs)
    if kept is not None:
        return kept
    whole = {index: full(build, gradient) for index, gradient in outputs.items()}
    _check(view, node, whole)
    step = Step(node, whole, required, view, build)
    if (sliced := sliced_by_node(step)) is not None:
        return {0: sliced}
    return _of_required(node, required, rule(step))


def _kept_small(step: Step, outputs: Mapping[int, Gradient]) -> Mapping[int, Gradient] | None:
    """The gradients from a one-hot or sliced gradient without its zeros, None if the node needs them."""
    only = outputs.get(0)
    if isinstance(only, OneHot):
        return one_hot_gradients(step, only)
    if not isinstance(only, Sliced) or len(outputs) > 1:
        return None
    _check(step.view, step.node, outputs)
    found = gradients_of_slice(step, only)
    return None if found is None else _of_required(step.node, step.required, found)


def _check(view: GraphView, node: Node, outputs: Collection[int]) -> None:
    if any(view.mixes_images(node.outputs[index]) for index in outputs):
        raise unsupported(node, "it mixes the images of a batch")
    if set(outputs) != {0} and not reads_every_output(node):
        others = ", ".join(f"'{node.outputs[index]}'" for index in sorted(outputs) if index)
        raise unsupported(node, f"the scores depend on its further output {others}")


def _of_required(
    node: Node, required: Sequence[int], gradients: Mapping[int, Gradient]
) -> Mapping[int, Gradient]:
    for index in required:
        if index not in gradients:
            raise unsupported(
                node, f"its input '{node.inputs[index]}' depends on the feature map too, and has no rule"
            )
    return {index: gradients[index] for index in required}
