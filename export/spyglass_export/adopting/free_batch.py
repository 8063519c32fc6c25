"""A dynamic batch for networks whose Reshape nodes contain a batch size of 1."""

from __future__ import annotations

import numpy as np
import onnx

from spyglass.v1.model_pb2 import ModelCard
from spyglass_contract.errors import CertificateError
from spyglass_contract.model.certificate import golden_tensor
from spyglass_export.adopting.complete import all_names
from spyglass_export.converting.tidy import BATCH
from spyglass_export.gradcam.builder import GraphBuilder
from spyglass_export.gradcam.graph_view import GraphView
from spyglass_export.session import open_session, runner

_BATCH = 3
_ADVICE = "export it with a dynamic batch"


def batch_problem(graph: onnx.ModelProto, card: ModelCard, tolerance: float) -> str:
    """Return what a completed graph does wrong with a batch; empty if each image gets its own result.

    `tolerance` is the largest allowed difference of a probability.
    """
    run = runner(open_session(graph.SerializeToString()), card)
    # From bright to dark: a network that computes a scale or a mean over the whole batch shows it.
    images = [golden_tensor(seed, card.input) // np.uint8(4**seed) for seed in range(_BATCH)]
    alone = np.concatenate([run(image) for image in images])
    try:
        together = run(np.concatenate(images))
    except CertificateError as error:
        return f"{error.message}; {_ADVICE}, or let the shape that this node makes begin with -1"
    if together.shape != (_BATCH, len(card.class_names)):
        return f"for {_BATCH} images its output has the shape {list(together.shape)}; {_ADVICE}"
    difference = float(np.abs(together - alone).max())
    if difference > tolerance:
        return f"one image changes the output of another, by {difference:.2g} in a batch of {_BATCH}"
    return ""


def with_free_batch(model: onnx.ModelProto, batch: int = 1) -> onnx.ModelProto:
    """Return a copy whose input and Reshape nodes keep the number of images.

    The copy changes constant Reshape targets that begin with the number `batch`, on tensors computed from the
    images. Run the copy to find out whether that number was the batch: see `batch_problem`.
    """
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    view = GraphView(model)
    build = GraphBuilder(view.opset, all_names(model.graph), "batch/")
    fed = {value.name for value in model.graph.input}
    for node in copy.graph.node:
        if not fed.intersection(node.input):
            continue
        fed.update(node.output)
        if node.op_type == "Reshape" and (target := _freed(view, node, batch)) is not None:
            node.input[1] = build.integers(target)
    copy.graph.initializer.extend(build.initializers)
    for value in (*copy.graph.input, *copy.graph.output):
        if value.type.tensor_type.shape.dim:
            value.type.tensor_type.shape.dim[0].dim_param = BATCH
    # The declared sizes are those of the given batch.
    del copy.graph.value_info[:]
    return copy


def _freed(view: GraphView, node: onnx.NodeProto, batch: int) -> list[int] | None:
    target = view.constant(node.input[1])
    if target is None or target.ndim != 1 or len(target) < 2 or target[0] != batch:
        return None
    _, *rest = map(int, target)
    if -1 not in rest:
        return [-1, *rest]
    # 0 copies the input's size, unless `allowzero` makes it a size of 0.
    literal = any(attribute.name == "allowzero" and attribute.i for attribute in node.attribute)
    return None if literal else [0, *rest]
