"""Sizes that shape inference cannot find, from runs of the model on zeros."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper

from spyglass_contract.onnx_runtime import onnxruntime
from spyglass_export.gradcam.errors import HeatmapError
from spyglass_export.gradcam.tensor_types import Dims, TensorType
from spyglass_export.session_options import session_options

# Batch, and height and width, of each run. A size that differs between the runs is free too.
_RUNS = ((2, 224), (3, 256))


def probe_types(model: onnx.ModelProto, names: Sequence[str]) -> dict[str, TensorType]:
    """Return the types of those of the named values that are tensors, from two runs.

    Raises HeatmapError if ONNX Runtime cannot load or run the model.
    """
    try:
        session = _session(model, names)
        first, second = (session.run(list(names), _feeds(session, *run)) for run in _RUNS)
    except Exception as error:
        raise HeatmapError(
            f"the model does not state its shapes, and ONNX Runtime cannot run it to find them: {error}"
        ) from error
    return {
        name: TensorType(
            helper.np_dtype_to_tensor_dtype(one.dtype),
            _agreeing(one.shape, other.shape),
            _images(one.shape, other.shape),
        )
        for name, one, other in zip(names, first, second, strict=True)
        # A sequence, a map or an optional value is no tensor.
        if isinstance(one, np.ndarray) and isinstance(other, np.ndarray)
    }


def probe_values(
    model: onnx.ModelProto, names: Sequence[str], batch: int, side: int
) -> dict[str, npt.NDArray[Any]]:
    """Return the values of the named tensors, from a run on zeros.

    A free batch has `batch` images, and a free height or width is `side`. Raises HeatmapError if ONNX Runtime
    cannot load or run the model.
    """
    try:
        session = _session(model, names)
        values = session.run(list(names), _feeds(session, batch, side))
    except Exception as error:
        raise HeatmapError(f"ONNX Runtime cannot run the model to find its sizes: {error}") from error
    return dict(zip(names, values, strict=True))


def _session(model: onnx.ModelProto, names: Sequence[str]) -> onnxruntime.InferenceSession:
    opened = onnx.ModelProto()
    opened.CopyFrom(model)
    del opened.graph.output[:]
    opened.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    options = session_options(onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL)
    return onnxruntime.InferenceSession(
        opened.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


def _feeds(
    session: onnxruntime.InferenceSession, batch: int, side: int
) -> dict[str, npt.NDArray[np.generic]]:
    return {value.name: _zeros(value, batch, side) for value in session.get_inputs()}


def _zeros(value: onnxruntime.NodeArg, batch: int, side: int) -> npt.NDArray[np.generic]:
    free = [batch] + [side] * (len(value.shape) - 1)
    shape = [size if isinstance(size, int) else free[axis] for axis, size in enumerate(value.shape)]
    kind = value.type.removeprefix("tensor(").removesuffix(")")
    return np.zeros(shape, {"float": "float32", "double": "float64"}.get(kind, kind))


def _agreeing(one: Sequence[int], other: Sequence[int]) -> Dims:
    return tuple(size if size == again else None for size, again in zip(one, other, strict=True))


def _images(one: Sequence[int], other: Sequence[int]) -> int | None:
    """The axis that had the size of the batch in both runs."""
    batches = tuple(batch for batch, _ in _RUNS)
    sizes = list(zip(one, other, strict=True))
    return sizes.index(batches) if batches in sizes else None
