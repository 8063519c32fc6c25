"""The plainest server of the same work: grpcio's threads, Pillow and ONNX Runtime, and nothing else.

It has no queue, no deadlines, no limits, no batches and no checks. `benchmarks/serving.py` compares it with
Spyglass: the same model, the same message types and the same decoding.

    python benchmarks/plain_server.py PORT MODEL.onnx
"""

from __future__ import annotations

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import numpy as np

from spyglass.v1.classify_pb2 import ClassifyRequest, ClassifyResponse
from spyglass.v1.reply_pb2 import ClassScore
from spyglass.v1.vision_pb2_grpc import VisionServicer, add_VisionServicer_to_server
from spyglass_contract.images.pixels import prepare
from spyglass_contract.model.card import PROBABILITIES, read_card
from spyglass_contract.onnx_runtime import onnxruntime

THREADS = 16


class Plain(VisionServicer):
    """Classifies one image in the thread of its request."""

    def __init__(self, path: Path) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 4
        self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self._card = read_card(self._session)
        self._none = {"class_index": np.zeros(0, np.int64)} if self._card.explained_layer else {}

    def Classify(self, request: ClassifyRequest, context: grpc.ServicerContext) -> ClassifyResponse:
        """Return the five most probable classes."""
        pixels = prepare(request.image.encoded, self._card.input).pixels[np.newaxis]
        (rows,) = self._session.run([PROBABILITIES], {self._card.input.tensor: pixels, **self._none})
        best = np.argsort(-rows[0])[:5]
        names = self._card.class_names
        scores = [ClassScore(index=int(i), name=names[i], score=float(rows[0][i])) for i in best]
        return ClassifyResponse(classes=scores)


def main() -> None:
    """Serve until the process is ended."""
    port, path = sys.argv[1:]
    server = grpc.server(ThreadPoolExecutor(THREADS), options=[("grpc.so_reuseport", 0)])
    add_VisionServicer_to_server(Plain(Path(path)), server)
    server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    print(f"serving on {port} as {os.getpid()}", flush=True)
    server.wait_for_termination()


if __name__ == "__main__":
    main()
