"""Interpolation: a fixed linear map along each resized axis, whose gradient is the transposed matrix."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper

from spyglass_contract.onnx_runtime import onnxruntime
from spyglass_export.gradcam.cotangent import Cotangent, dense
from spyglass_export.gradcam.registry import rule
from spyglass_export.gradcam.step import Step
from spyglass_export.session_options import session_options

# Attributes that say which axes are resized, or how their sizes follow from those asked for.
_OF_AXES = ("axes", "keep_aspect_ratio_policy")


@rule("Resize")
def resize(step: Step) -> Mapping[int, Cotangent]:
    """Return the gradient times the transposed matrix of the interpolation along each resized axis.

    ONNX Runtime itself computes each matrix, by resizing the unit vectors, so that it holds for every mode.
    """
    source, result = step.shape_of(0), step.gradient.of
    if step.node.attribute("coordinate_transformation_mode") == "tf_crop_and_resize":
        raise step.unsupported("its mode tf_crop_and_resize cuts out a region")
    scales = _scales(step)
    gradient = dense(step.build, step.gradient).name
    for axis in range(source.rank):
        if scales.get(axis, 1.0) == 1.0 and source.dims[axis] == result.dims[axis]:
            continue
        matrix = _matrix(step, axis, scales.get(axis))
        gradient = _times_along(step, gradient, source.rank, axis, matrix)
    return {0: Cotangent(gradient, source)}


def _scales(step: Step) -> dict[int, float]:
    """The stated factor of each axis; empty if the node states sizes."""
    if not step.has_input(2):
        return {}
    scales = step.constant(2, "scales").tolist()
    axes = step.node.attribute("axes") or range(step.shape_of(0).rank)
    if not scales:
        return {}
    return {axis % step.shape_of(0).rank: scale for axis, scale in zip(axes, scales, strict=True)}


def _matrix(step: Step, axis: int, scale: float | None) -> npt.NDArray[Any]:
    """The interpolation along an axis, float32 [in, out]."""
    size = step.known_size(step.shape_of(0), axis)
    units = np.eye(size, dtype=np.float32).reshape(size, 1, size, 1)
    attributes = {name: value for name, value in step.node.attributes.items() if name not in _OF_AXES}
    # Opset 11 requires the inputs before it, and takes empty tensors.
    unused = ["none", "none"] if step.build.opset < 13 else ["", ""]
    if scale is None:
        out = step.known_size(step.gradient.of, axis)
        inputs, factors = ["x", *unused, "target"], np.array([size, 1, out, 1], np.int64)
    else:
        inputs, factors = ["x", *unused[:1], "target"], np.array([1, 1, scale, 1], np.float32)
    node = helper.make_node("Resize", inputs, ["y"], **attributes)
    constants = [onnx.numpy_helper.from_array(factors, "target")]
    if step.build.opset < 13:
        constants.append(onnx.numpy_helper.from_array(np.zeros(0, np.float32), "none"))
    entering = helper.make_tensor_value_info("x", TensorProto.FLOAT, units.shape)
    leaving = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    graph = helper.make_graph([node], "interpolation", [entering], [leaving], constants)
    model = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", step.build.opset)],
        ir_version=step.view.model.ir_version,
    )
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), session_options(), providers=["CPUExecutionProvider"]
    )
    resized: npt.NDArray[Any] = session.run(None, {"x": units})[0]
    return resized[:, 0, :, 0]


def _times_along(step: Step, gradient: str, rank: int, axis: int, matrix: npt.NDArray[Any]) -> str:
    """The gradient with Σ_out matrix[in, out]·gradient[…, out, …] along an axis."""
    build = step.build
    if axis == rank - 1:
        return build.add("MatMul", gradient, build.floats(matrix.T))
    if axis == rank - 2:
        return build.add("MatMul", build.floats(matrix), gradient)
    perm = [each for each in range(rank) if each != axis] + [axis]
    moved = build.add("Transpose", gradient, perm=perm)
    product = build.add("MatMul", moved, build.floats(matrix.T))
    return build.add("Transpose", product, perm=[perm.index(each) for each in range(rank)])
