"""Runs with buffers that are kept: no memory is allocated for a run, on the host or on the device."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spyglass_contract.model.card import PROBABILITIES
from spyglass_contract.onnx_runtime import onnxruntime
from spyglass_server.engine.models.providers.padding import padded_size
from spyglass_server.engine.models.providers.pinned import pinned_array


@dataclass
class _Buffers:
    """The buffers of one run, bound to a session."""

    binding: onnxruntime.IOBinding
    # uint8 [batch, height, width, channels] on the device.
    pixels: onnxruntime.OrtValue
    # The same on the host; float32 [batch, …], on the host.
    host_pixels: NDArray[np.uint8]
    probabilities: NDArray[np.float32]


class BoundRuns:
    """Runs of a session whose inputs and outputs are bound to buffers, one set for each run at a time.

    A batch is padded to a power of two. The rows of the padding hold earlier images, whose outputs are
    dropped.
    """

    def __init__(
        self, session: onnxruntime.InferenceSession, tensor: str, device: str, device_id: int, cuda: Any
    ) -> None:
        """Bind `tensor`, the input of `session`, on `device` ("cuda" or "cpu"); `cuda` pins host memory."""
        self._session = session
        self._tensor = tensor
        self._device, self._device_id = device, device_id
        self._cuda = cuda
        # Buffers that no run uses, by the size of the batch.
        self._free: dict[int, list[_Buffers]] = {}

    def run(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Map uint8 [batch, height, width, channels] to float32 [batch, …]; safe to call from any thread."""
        images, size = len(pixels), padded_size(len(pixels))
        free = self._free.setdefault(size, [])
        try:
            buffers = free.pop()
        except IndexError:
            buffers = self._bind((size, *pixels.shape[1:]))
        buffers.host_pixels[:images] = pixels
        buffers.pixels.update_inplace(buffers.host_pixels)
        self._session.run_with_iobinding(buffers.binding)
        output = buffers.probabilities[:images].copy()
        free.append(buffers)
        return output

    def _bind(self, shape: tuple[int, ...]) -> _Buffers:
        binding = self._session.io_binding()
        pixels = onnxruntime.OrtValue.ortvalue_from_shape_and_type(
            shape, np.uint8, self._device, self._device_id
        )
        binding.bind_ortvalue_input(self._tensor, pixels)
        probabilities = pinned_array(self._output_shape(binding), np.float32, self._cuda)
        binding.bind_ortvalue_output(PROBABILITIES, onnxruntime.OrtValue.ortvalue_from_numpy(probabilities))
        return _Buffers(binding, pixels, pinned_array(shape, np.uint8, self._cuda), probabilities)

    def _output_shape(self, binding: onnxruntime.IOBinding) -> list[int]:
        """Return the shape of the output for the bound input, by a run whose output is left on the host."""
        binding.bind_output(PROBABILITIES)
        self._session.run_with_iobinding(binding)
        shape: list[int] = binding.get_outputs()[0].shape()
        return shape
