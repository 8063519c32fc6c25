"""Values of new tensors for images of noise, from a run of only the nodes that they need.

Each image has a twin that hardly differs: rounding noise differs between the two, a real gradient does not.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper

from spyglass_contract.model.card import CLASS_INDEX
from spyglass_contract.onnx_runtime import onnxruntime
from spyglass_export.gradcam.builder import GraphBuilder
from spyglass_export.gradcam.errors import HeatmapError
from spyglass_export.gradcam.graph_view import GraphView
from spyglass_export.session_options import session_options
from spyglass_export.simplifying.node_order import needed_for

Array = npt.NDArray[Any]

# Two images are enough to tell a gradient that is 0 for every image from one that happens to be 0.
IMAGES = (0, 1)
# Assumed for a free height or width.
_SIDE = 224
# The relative difference of a twin of real numbers; of bytes, a few differ by 1.
_CHANGES = {"float16": 2e-3, "float32": 1e-6, "float64": 1e-6}


class NoiseRuns:
    """Runs of a network on images of noise, with the predicted class as the requested one.

    Bytes are uniform in 0 … 255, and real numbers standard normal. Raises HeatmapError if ONNX Runtime cannot
    load or run the network.
    """

    def __init__(self, view: GraphView, build: GraphBuilder, names: Sequence[str]) -> None:
        self._names = list(dict.fromkeys(names))
        with _runtime_errors():
            self._session = _session(_extended(view, build, self._names))
        self._values: dict[tuple[int, bool], Mapping[str, Array]] = {}

    def values(self, image: int, *, twin: bool = False) -> Mapping[str, Array]:
        """Return the tensors `names` of `build` for one of `IMAGES`, or for its twin."""
        if (image, twin) not in self._values:
            random = np.random.default_rng(image)
            feeds = {value.name: _noise(value, random, int(twin)) for value in self._session.get_inputs()}
            with _runtime_errors():
                found = self._session.run(self._names, feeds)
            self._values[image, twin] = dict(zip(self._names, found, strict=True))
        return self._values[image, twin]


@contextmanager
def _runtime_errors() -> Iterator[None]:
    try:
        yield
    # ONNX Runtime's exceptions have no common base class.
    except Exception as error:
        raise HeatmapError(f"ONNX Runtime cannot compute a gradient of the model: {error}") from error


def _extended(view: GraphView, build: GraphBuilder, names: Sequence[str]) -> onnx.ModelProto:
    """A model with the outputs `names` and only the nodes before them."""
    source = view.model
    nodes, read = needed_for(names, [*source.graph.node, *build.nodes])
    model = onnx.ModelProto(ir_version=source.ir_version)
    model.opset_import.extend(source.opset_import)
    graph = model.graph
    graph.name = "gradient"
    graph.node.extend(nodes)
    tensors = (*source.graph.initializer, *build.initializers)
    graph.initializer.extend(tensor for tensor in tensors if tensor.name in read)
    graph.input.extend(value for value in source.graph.input if value.name in read)
    graph.input.append(helper.make_tensor_value_info(CLASS_INDEX, TensorProto.INT64, [1]))
    graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    return model


def _session(model: onnx.ModelProto) -> onnxruntime.InferenceSession:
    # The run is a single one: to optimise the graph first would take longer.
    options = session_options(onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL)
    return onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


def _noise(value: onnxruntime.NodeArg, random: np.random.Generator, twin: int) -> Array:
    if value.name == CLASS_INDEX:
        return np.array([-1])
    free = [1] + [_SIDE] * (len(value.shape) - 1)
    shape = [size if isinstance(size, int) else free[axis] for axis, size in enumerate(value.shape)]
    kind = value.type.removeprefix("tensor(").removesuffix(")")
    kind = {"float": "float32", "double": "float64"}.get(kind, kind)
    if kind == "uint8":
        pixels = random.integers(0, 255, shape).astype(np.uint8)
        pixels.flat[:: max(pixels.size // 16, 1)] += np.uint8(twin)
        return pixels
    return (random.normal(size=shape) * (1 + twin * _CHANGES[kind])).astype(kind)
