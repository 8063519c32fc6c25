"""MLServer: the V2 protocol over gRPC, workers in processes of their own, adaptive batching if BATCH > 1.

python mlserver_server.py PORT MODEL.onnx WORKERS BATCH
"""

from __future__ import annotations

import asyncio
import socket
import sys

import numpy as np
from classifier import Classifier
from mlserver import MLModel, MLServer, ModelSettings, Settings
from mlserver.codecs import NumpyCodec, StringCodec
from mlserver.settings import ModelParameters
from mlserver.types import InferenceRequest, InferenceResponse

# The longest time that a request waits for others of its batch, in seconds.
_BATCH_SECONDS = 0.005


class Classify(MLModel):
    """Classifies the images of the input, BYTES [images]."""

    async def load(self) -> bool:
        """Load the model in a worker."""
        self._classifier = Classifier(self._settings.parameters.uri)
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Return index, name and score of the best classes, each [images, 5]."""
        images = [bytes(image) for image in payload.inputs[0].data]
        rows = self._classifier.classify(images)
        index = np.array([[each["index"] for each in row] for row in rows], np.int64)
        score = np.array([[each["score"] for each in row] for row in rows], np.float32)
        names = StringCodec.encode_output("name", [each["name"] for row in rows for each in row])
        names.shape = list(index.shape)
        return InferenceResponse(
            model_name=self.name,
            outputs=[
                NumpyCodec.encode_output("index", index),
                NumpyCodec.encode_output("score", score),
                names,
            ],
        )


async def _serve(port: int, path: str, workers: int, batch: int) -> None:
    http, metrics = _free_ports(2)
    settings = Settings(
        host="127.0.0.1",
        grpc_port=port,
        http_port=http,
        metrics_port=metrics,
        parallel_workers=workers,
        load_models_at_startup=False,
    )
    model = ModelSettings(
        name="model",
        implementation="mlserver_server.Classify",
        parameters=ModelParameters(uri=path),
        max_batch_size=batch if batch > 1 else 0,
        max_batch_time=_BATCH_SECONDS if batch > 1 else 0.0,
    )
    await MLServer(settings).start([model])


def _free_ports(count: int) -> list[int]:
    probes = [socket.socket() for _ in range(count)]
    for probe in probes:
        probe.bind(("127.0.0.1", 0))
    ports = [int(probe.getsockname()[1]) for probe in probes]
    for probe in probes:
        probe.close()
    return ports


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
