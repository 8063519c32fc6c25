"""mosec: a front in Rust, workers in processes of their own.

python mosec_server.py PORT MODEL.onnx WORKERS BATCH
"""

from __future__ import annotations

import os
import sys
from typing import Any

from classifier import Classifier
from mosec import Server, Worker

_MODEL = "BENCHMARK_MODEL"
# The longest time that a request waits for others of its batch, in milliseconds.
_BATCH_MS = 5


class Classify(Worker):
    """Classifies the images in the bodies of requests."""

    def __init__(self) -> None:
        super().__init__()
        self._classifier = Classifier(os.environ[_MODEL])

    def deserialize(self, data: bytearray) -> bytes:
        """Return the image: the body as it is."""
        return bytes(data)

    def forward(self, data: Any) -> Any:
        """Return the classes of an image, or of each image of a batch."""
        if isinstance(data, list):
            return [{"classes": classes} for classes in self._classifier.classify(data)]
        return {"classes": self._classifier.classify([data])[0]}


if __name__ == "__main__":
    port, path, workers, batch = sys.argv[1:]
    os.environ[_MODEL] = path
    # mosec reads its settings from the command line.
    sys.argv[1:] = ["--port", port, "--address", "127.0.0.1", "--timeout", "30000", "--log-level", "error"]
    server = Server()
    server.append_worker(
        Classify,
        num=int(workers),
        max_batch_size=int(batch),
        max_wait_time=_BATCH_MS if int(batch) > 1 else 0,
    )
    server.run()
