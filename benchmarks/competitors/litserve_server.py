"""LitServe: FastAPI in front, workers in processes of their own.

python litserve_server.py PORT MODEL.onnx WORKERS BATCH
"""

# LitServe reads the annotation of `request`, so this file has no `annotations` of the future.

import sys
from typing import Annotated, Any

import litserve
from classifier import Classifier
from fastapi import Depends, Request

# The longest time that a request waits for others of its batch, in seconds.
_BATCH_SECONDS = 0.005


async def body(request: Request) -> bytes:
    """Return the image. LitServe's own ways, base64 in JSON and forms, cost more."""
    return await request.body()


class Classify(litserve.LitAPI):
    """Classifies the image in the body of a request."""

    def __init__(self, path: str, batch: int) -> None:
        super().__init__(max_batch_size=batch, batch_timeout=_BATCH_SECONDS if batch > 1 else 0.0)
        self._path = path

    def setup(self, device: str) -> None:
        """Load the model in a worker."""
        self._classifier = Classifier(self._path)

    def decode_request(self, request: Annotated[bytes, Depends(body)]) -> bytes:
        """Return the image."""
        return request

    def batch(self, inputs: list[bytes]) -> list[bytes]:
        """Return the images of a batch."""
        return inputs

    def predict(self, x: Any) -> Any:
        """Return the classes of an image, or of each image of a batch."""
        return self._classifier.classify(x) if isinstance(x, list) else self._classifier.classify([x])[0]

    def unbatch(self, output: Any) -> Any:
        """Return the classes of each image."""
        return output

    def encode_response(self, output: Any) -> dict[str, Any]:
        """Return the response, which LitServe sends as JSON."""
        return {"classes": output}


if __name__ == "__main__":
    port, path, workers, batch = sys.argv[1:]
    server = litserve.LitServer(
        Classify(path, int(batch)), accelerator="cpu", workers_per_device=int(workers), timeout=30
    )
    server.run(
        host="127.0.0.1",
        port=int(port),
        num_api_servers=1,
        generate_client_file=False,
        log_level="warning",
        access_log=False,
    )
