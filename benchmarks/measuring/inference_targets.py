"""The load loops of client libraries: `spyglass_client`, and `tritonclient` for the Open Inference Protocol.

The messages of that protocol are tritonclient's own: a process can have them once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

INFER = "/inference.GRPCInferenceService/ModelInfer"
_TIMEOUT = 30.0

ImageInput = bytes | NDArray[np.uint8]
"""A file, or the input of the network, uint8 [height, width, channels]."""


@dataclass(frozen=True)
class SpyglassTarget:
    """`Client.classify` with one image, see `Target`. All callers share the client."""

    address: str
    model: str
    image: ImageInput

    @contextmanager
    def connect(self, callers: int) -> Iterator[list[Callable[[], bytes]]]:
        """See `Target`."""
        from spyglass_client import Client

        with Client(self.address) as client:

            def call() -> bytes:
                return client.classify(self.image, model=self.model, timeout=_TIMEOUT).best.name.encode()

            yield [call] * callers


@dataclass(frozen=True)
class TritonTarget:
    """`InferenceServerClient.infer` with one image, see `Target`. All callers share the client.

    `class_count` 0 requests the probabilities of all classes.
    """

    address: str
    model: str
    image: ImageInput
    class_count: int = 0

    @contextmanager
    def connect(self, callers: int) -> Iterator[list[Callable[[], bytes]]]:
        """See `Target`."""
        import tritonclient.grpc as triton

        outputs = [triton.InferRequestedOutput("probabilities", class_count=self.class_count)]

        with triton.InferenceServerClient(self.address) as client:

            def call() -> bytes:
                result = client.infer(
                    self.model,
                    [triton_input([self.image])],
                    outputs=outputs if self.class_count else None,
                    client_timeout=_TIMEOUT,
                )
                return bytes(result.as_numpy("probabilities").tobytes())

            yield [call] * callers


def triton_input(images: Sequence[ImageInput]) -> Any:
    """Return the input of a batch of images of one kind."""
    import tritonclient.grpc as triton

    if isinstance(images[0], bytes):
        files = np.array([*images, b""], object)[:-1]
        return triton.InferInput("image", files.shape, "BYTES").set_data_from_numpy(files)
    pixels = np.stack(images)  # type: ignore[arg-type]
    return triton.InferInput("image", pixels.shape, "UINT8").set_data_from_numpy(pixels)


def infer_payload(model: str, images: Sequence[ImageInput]) -> bytes:
    """Return the bytes of a request for the probabilities of all classes."""
    from tritonclient.grpc import service_pb2

    tensor = triton_input(images)
    request = service_pb2.ModelInferRequest(model_name=model, inputs=[tensor._get_tensor()])
    request.raw_input_contents.append(tensor._get_content())
    return bytes(request.SerializeToString())
