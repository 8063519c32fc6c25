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
from spyglass_export.gradcam.step import Step, unsupported

Gradient = Cotangent | OneHot


def reverse_pass(
    view: GraphView, build: GraphBuilder, head: Head, start: Gradient, passed: Collection[Node] = ()
) -> dict[str, Cotangent]:
    """Append the reverse pass to `build` and return the gradients at its ends, by tensor.

    `start` is the gradient of the head's scores. Without `passed`, the only end is the feature map. The pass
    leaves out the nodes in `passed`, so their outputs are ends too. Raises UnsupportedHead for a node that
    has no gradient here.
    """
    ends = gradients_at_ends(view, build, head, start, passed)
    return {name: _full(build, gradient) for name, gradient in ends.items()}


def gradients_at_ends(
    view: GraphView, build: GraphBuilder, head: Head, start: Gradient, passed: Collection[Node]
) -> dict[str, Gradient]:
    """Return what `reverse_pass` returns, but leave a gradient one-hot if it reaches an end so."""
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


def _merge(build: GraphBuilder, gradients: Sequence[Gradient]) -> Gradient:
    if len(gradients) == 1:
        return gradients[0]
    return total(build, [_full(build, gradient) for gradient in gradients])


def _full(build: GraphBuilder, gradient: Gradient) -> Cotangent:
    return written_out(build, gradient) if isinstance(gradient, OneHot) else gradient


def _through(
    view: GraphView, build: GraphBuilder, head: Head, node: Node, outputs: Mapping[int, Gradient]
) -> Mapping[int, Gradient]:
    """The gradients of a node's inputs on the path, from those of its outputs."""
    rule, required = rule_for(node), head.reads(node)
    only = outputs.get(0)
    if isinstance(only, OneHot):
        picked = one_hot_gradients(Step(node, {}, required, view, build), only)
        if picked is not None:
            return picked
    full = {index: _full(build, gradient) for index, gradient in outputs.items()}
    if any(view.mixes_images(node.outputs[index]) for index in full):
        raise unsupported(node, "it mixes the images of a batch")
    if set(full) != {0} and not reads_every_output(node):
        others = ", ".join(f"'{node.outputs[index]}'" for index in sorted(full) if index)
        raise unsupported(node, f"the scores depend on its further output {others}")
    gradients = rule(Step(node, full, required, view, build))
    for index in required:
        if index not in gradients:
            raise unsupported(
                node, f"its input '{node.inputs[index]}' depends on the feature map too, and has no rule"
            )
    return {index: gradients[index] for index in required}
