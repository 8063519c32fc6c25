"""Any number of images for a network that has one built into the shapes that it computes with."""

from __future__ import annotations

import numpy as np
import onnx

from spyglass.v1.model_pb2 import ModelCard
from spyglass_contract.errors import CertificateError
from spyglass_contract.model.certificate import EXPORT_TOLERANCE, golden_tensor
from spyglass_export.gradcam.builder import GraphBuilder
from spyglass_export.gradcam.graph_view import GraphView
from spyglass_export.prove import open_session, runner

_BATCH = 3
_ADVICE = "export it with a dynamic batch"


def batch_trouble(graph: onnx.ModelProto, card: ModelCard) -> str:
    """What a completed graph does wrong with several images; empty where it answers each as if alone."""
    run = runner(open_session(graph.SerializeToString()), card)
    images = [golden_tensor(seed, card.input) for seed in range(_BATCH)]
    alone = np.concatenate([run(image) for image in images])
    try:
        together = run(np.concatenate(images))
    except CertificateError as error:
        return f"{error.message}; {_ADVICE}, or let the shape that this node makes begin with -1"
    if together.shape != (_BATCH, len(card.class_names)):
        return f"to {_BATCH} of them the answer is {list(together.shape)}; {_ADVICE}"
    difference = float(np.abs(together - alone).max())
    if difference > EXPORT_TOLERANCE:
        return f"one changes the answer to another, by {difference:.2g} in a batch of {_BATCH}"
    return ""


def with_free_batch(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy in which what is made of the images is reshaped to as many rows as there are images.

    It changes the constant targets of Reshape that begin with 1. Whether that 1 was the batch shows when the
    copy is run: see `batch_trouble`.
    """
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    view = GraphView(model)
    taken = {name for node in model.graph.node for name in (node.name, *node.output)}
    build = GraphBuilder(view.opset, taken.union(tensor.name for tensor in model.graph.initializer), "batch/")
    fed = {value.name for value in model.graph.input}
    for node in copy.graph.node:
        if not fed.intersection(node.input):
            continue
        fed.update(node.output)
        if node.op_type == "Reshape" and (target := _freed(view, node)) is not None:
            node.input[1] = build.integers(target)
    copy.graph.initializer.extend(build.initializers)
    # Sizes that were stated of the batch of 1.
    del copy.graph.value_info[:]
    return copy


def _freed(view: GraphView, node: onnx.NodeProto) -> list[int] | None:
    target = view.constant(node.input[1])
    if target is None or target.ndim != 1 or len(target) < 2 or target[0] != 1:
        return None
    _, *rest = map(int, target)
    if -1 not in rest:
        return [-1, *rest]
    # 0 takes over the size from before, unless the node says that it is meant.
    literal = any(attribute.name == "allowzero" and attribute.i for attribute in node.attribute)
    return None if literal else [0, *rest]
