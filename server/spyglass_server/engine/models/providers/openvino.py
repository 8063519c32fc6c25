"""OpenVINO on processors, in float32 or bfloat16: the package `openvino`, the extra of the same name.

ONNX Runtime's plugin provider for OpenVINO (`onnxruntime-ep-openvino`) has devices on Intel's processors
only. OpenVINO itself runs on others, too, and reads files whose heatmap is an `If` on an optional input. So
the classes run in OpenVINO, and the heatmaps in a session of ONNX Runtime, which the first heatmap opens.
"""

from __future__ import annotations

import importlib.util
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spyglass_contract.errors import ModelError
from spyglass_contract.model.card import PROBABILITIES
from spyglass_contract.model_files.model_file import ModelFile
from spyglass_server.engine.capacity.processor_flags import processor_flags
from spyglass_server.engine.models.choices import ComputePrecision
from spyglass_server.engine.models.providers.cpu import open_on_cpu
from spyglass_server.engine.models.providers.graph import Graph
from spyglass_server.engine.models.providers.lazily import Lazily
from spyglass_server.engine.models.providers.onnx_sessions import CPU
from spyglass_server.engine.models.providers.placement import DeviceError, Placement
from spyglass_server.engine.models.providers.provider import Opened, Run

_BF16_FLAGS = frozenset(("avx512_bf16", "amx_bf16"))
_HINTS: dict[ComputePrecision, str] = {"fp32": "f32", "bf16": "bf16"}


class OpenVino:
    """OpenVINO's plugin for processors."""

    name, label = "openvino", "OpenVINO"
    on_gpu = False
    best_batch = 1
    precisions: tuple[ComputePrecision, ...] = ("fp32", "bf16")

    def available(self) -> bool:
        """Return whether the package `openvino` is installed."""
        return importlib.util.find_spec("openvino") is not None

    def check(self, precision: ComputePrecision) -> None:
        """Raise DeviceError if the package is missing, or the processor has no instructions for bf16."""
        if not self.available():
            raise DeviceError(
                "the package openvino is not installed: install Spyglass with the extra openvino"
            )
        check_bf16(precision, processor_flags())

    def open(self, file: ModelFile, graph: Graph, placement: Placement) -> Opened:
        """Compile the classes of the file; see `Provider.open`."""
        parallel, threads = placement.parallel_runs, placement.threads
        compile_for = partial(_compile, file, graph.card.input.tensor, placement.precision)
        return Opened(
            provider=self.label,
            run=_run(compile_for, graph, parallel, threads),
            open_whole=partial(open_on_cpu, file, threads),
            whole_provider=CPU,
        )


def check_bf16(precision: ComputePrecision, flags: frozenset[str]) -> None:
    """Raise DeviceError if the precision is bf16 and a processor with these flags lacks the instructions."""
    if precision == "bf16" and not flags & _BF16_FLAGS:
        raise DeviceError("this processor has neither avx512_bf16 nor amx_bf16, which bf16 needs: use fp32")


def _run(compile_for: partial[Any], graph: Graph, parallel: int, threads: int) -> Run:
    """Return a function that runs one image with fixed sizes, and several images with a free batch.

    A fixed batch is 7 to 29 % faster. The network for several images is compiled when they first come.
    """
    single = compile_for(one_image=True, parallel=parallel, threads=threads)
    # The size of an output can depend on the pixels; then it has no buffer.
    one = _Batches(single) if single.output(0).partial_shape.is_dynamic else _OneImage(single)
    several = Lazily(lambda: _Batches(compile_for(one_image=False, parallel=parallel, threads=threads)))

    def run(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        return one.run(pixels) if len(pixels) == 1 or graph.one_image else several.get().run(pixels)

    return run


def _compile(
    file: ModelFile, tensor: str, precision: ComputePrecision, *, one_image: bool, parallel: int, threads: int
) -> Any:
    """Return the classes of a file, compiled by OpenVINO. Raises ModelError."""
    from spyglass_server.engine.models.providers.openvino_runtime import openvino

    core = openvino.Core()
    try:
        # OpenVINO finds the files of tensors by the path of the model.
        whole = core.read_model(str(file.path) if file.external else file.content())
        file.check_external()
        # Without the other outputs, OpenVINO drops the heatmap.
        classes = openvino.Model([whole.output(PROBABILITIES)], whole.get_parameters(), "classes")
        if one_image:
            shape = classes.input(tensor).partial_shape
            shape[0] = 1
            classes.reshape({tensor: shape})
        options = {
            # By default OpenVINO takes bf16 if the processor has it.
            "INFERENCE_PRECISION_HINT": _HINTS[precision],
            # Runs of one stream follow one another.
            "NUM_STREAMS": parallel,
            "INFERENCE_NUM_THREADS": parallel * threads,
            # The server may use a part of the processors only, and shares them.
            "ENABLE_CPU_PINNING": False,
        }
        return core.compile_model(classes, "CPU", options)
    # OpenVINO's exceptions are RuntimeErrors of its binding, of several kinds.
    except Exception as error:
        raise ModelError(f"OpenVINO cannot load the file: {error}") from error


class _OneImage:
    """Runs of a network with a batch of 1, whose buffers are kept: as many as there are runs at a time."""

    def __init__(self, network: Any) -> None:
        self._network = network
        # The request that ran last comes first, since its buffers are in the caches.
        self._free: list[tuple[Any, NDArray[np.uint8], NDArray[np.float32]]] = []

    def run(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Map uint8 [1, height, width, channels] to float32 [1, …]; safe to call from any thread."""
        try:
            request, held, probabilities = self._free.pop()
        except IndexError:
            request, held, probabilities = self._request()
        held[...] = pixels
        request.infer()
        output = probabilities.copy()
        self._free.append((request, held, probabilities))
        return output

    def _request(self) -> tuple[Any, NDArray[np.uint8], NDArray[np.float32]]:
        from spyglass_server.engine.models.providers.openvino_runtime import openvino

        pixels = np.zeros(tuple(self._network.input(0).shape), np.uint8)
        probabilities = np.zeros(tuple(self._network.output(0).shape), np.float32)
        request = self._network.create_infer_request()
        request.set_input_tensor(openvino.Tensor(pixels, shared_memory=True))
        request.set_output_tensor(openvino.Tensor(probabilities, shared_memory=True))
        return request, pixels, probabilities


class _Batches:
    """Runs of a network whose sizes are free."""

    def __init__(self, network: Any) -> None:
        self._network = network
        self._free: list[Any] = []

    def run(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Map uint8 [batch, height, width, channels] to float32 [batch, …]; safe to call from any thread."""
        from spyglass_server.engine.models.providers.openvino_runtime import openvino

        try:
            request = self._free.pop()
        except IndexError:
            request = self._network.create_infer_request()
        request.set_input_tensor(openvino.Tensor(np.ascontiguousarray(pixels)))
        request.infer()
        output: NDArray[np.float32] = request.get_output_tensor().data.copy()
        self._free.append(request)
        return output
