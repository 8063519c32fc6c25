"""A server process whose tiny models change while requests run, and the load on it.

Versions of even and odd number give different outputs, so that a response shows which network has made it.
"""

from __future__ import annotations

import shutil
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import Any

import grpc
import numpy as np
import pytest
from PIL import Image

from explaining_classifiers import add_heatmap
from plain_images import COLORS, encode_image
from spyglass.inference.v2_pb2 import ModelInferRequest, ModelInferResponse
from spyglass.inference.v2_pb2_grpc import GRPCInferenceServiceStub
from spyglass.v1.model_pb2 import RESIZE_RULE_STRETCH
from spyglass_client import Client, Failure, Timeout
from spyglass_server.open_inference.byte_strings import join_strings
from tiny_classifier import tiny_card, write_tiny_model
from tiny_segmentation import segmentation_card, write_segmentation_model

DIVISORS = {0: 20.0, 1: 200.0}
# The darkness of a background that is everywhere, and of one that is in dark pixels only.
DARKNESS = {0: 99.0, 1: 12.0}


def write_classifier(root: Path, version: int) -> Path:
    """Write colors/VERSION, with heatmaps."""
    divisor = DIVISORS[version % 2]
    return add_heatmap(write_tiny_model(root, tiny_card(version=version, divisor=divisor), divisor))


def write_segmenter(root: Path, version: int) -> Path:
    """Write masks/VERSION."""
    darkness = DARKNESS[version % 2]
    card = segmentation_card("masks", RESIZE_RULE_STRETCH, version=version, darkness=darkness)
    return write_segmentation_model(root, card, darkness=darkness)


@dataclass
class Repository:
    """A folder of models. Versions are written beside it, and moved into it in one step."""

    root: Path
    beside: Path

    def add(self, version: int) -> None:
        """Add a version of both models."""
        for write in (write_classifier, write_segmenter):
            self.move(write(self.beside, version))

    def move(self, path: Path) -> None:
        """Move NAME/VERSION/model.onnx into the repository."""
        target = self.root / path.parent.relative_to(self.beside)
        target.parent.mkdir(parents=True, exist_ok=True)
        path.parent.rename(target)

    def delete(self, name: str, version: int) -> None:
        """Delete a version, in one step for those who look."""
        (self.root / name / str(version)).rename(self.beside / f"deleted-{name}-{version}")
        shutil.rmtree(self.beside / f"deleted-{name}-{version}")


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """A folder with version 1 of `colors` and `masks`."""
    made = Repository(tmp_path / "models", tmp_path / "beside")
    made.add(1)
    return made


RED = COLORS["red"]


def red_image() -> bytes:
    """Return a red PNG."""
    return encode_image(Image.new("RGB", (32, 24), RED))


def check_classified(result: Any) -> int:
    """Return the version that a classification of the red image names, which must be the one that made it."""
    version = int(result.model.version)
    assert result.best.name == "red"
    assert abs(result.best.score - _red_score(version)) < 1e-4, version
    return version


def check_mask(result: Any) -> int:
    """Return the version that a mask of the red image names, which must be the one that made it."""
    version = int(result.model.version)
    assert (np.unique(result.array) == [0 if version % 2 == 0 else 1]).all(), version
    return version


def check_tensor(response: ModelInferResponse) -> int:
    """Return the version that a response of the Open Inference Protocol names, which must have made it."""
    version = int(response.model_version)
    probabilities = np.frombuffer(response.raw_output_contents[0], np.float32)
    assert abs(probabilities[0] - _red_score(version)) < 1e-4, version
    return version


def _red_score(version: int) -> float:
    """Return the score of the class red for the red image."""
    logits = np.array(RED) / DIVISORS[version % 2]
    expected = np.exp(logits - logits.max())
    return float(expected.max() / expected.sum())


KINDS = ("classify", "heatmap", "stream", "segment", "v2")


@dataclass
class Load:
    """Threads that send requests until the block ends; each response is checked, and no call may fail."""

    address: str
    # The versions that may answer a request that starts now.
    oldest: int = 1
    newest: int = 1
    kinds: tuple[str, ...] = KINDS
    # How many responses of each kind each version has made.
    answers: dict[str, dict[int, int]] = field(default_factory=dict)
    _threads: list[Future[None]] = field(default_factory=list)
    _stop: Event = field(default_factory=Event)

    @contextmanager
    def running(self) -> Iterator[Load]:
        """Send requests in the block. Raises what a thread raised."""
        self.answers = {kind: {} for kind in self.kinds}
        with ThreadPoolExecutor(len(self.kinds)) as threads:
            self._threads = [threads.submit(self._repeat, kind) for kind in self.kinds]
            try:
                yield self
            finally:
                self._stop.set()
        for thread in self._threads:
            thread.result()

    def swap(self, change: Callable[[], object], version: int) -> None:
        """Run `change`, after which only `version` answers."""
        self.newest = version
        change()
        self.oldest = version

    def seen(self, version: int) -> bool:
        """Return whether each kind of request has a response by `version`. Raises what a thread raised."""
        for thread in self._threads:
            if thread.done():
                thread.result()
        return all(version in counts for counts in self.answers.values())

    def _repeat(self, kind: str) -> None:
        with Client(self.address, timeout=Timeout(call=30)) as client:
            for (oldest, newest), version in self._versions(kind, client, red_image()):
                assert oldest <= version <= max(newest, self.newest), (kind, oldest, version, newest)
                counts = self.answers[kind]
                counts[version] = counts.get(version, 0) + 1

    def _versions(self, kind: str, client: Client, image: bytes) -> Iterator[tuple[tuple[int, int], int]]:
        """Yield which versions were allowed when a request started, and which has answered it."""
        if kind == "stream":
            yield from self._stream(client, image)
            return
        if kind == "v2":
            yield from self._v2(image)
            return
        ask: dict[str, Callable[[], int]] = {
            "classify": lambda: check_classified(client.classify(image, model="colors")),
            "heatmap": lambda: check_classified(client.heatmap(image, model="colors")),
            "segment": lambda: check_mask(client.segment(image, model="masks")),
        }
        while not self._stop.is_set():
            allowed = (self.oldest, self.newest)
            yield allowed, ask[kind]()

    def _stream(self, client: Client, image: bytes) -> Iterator[tuple[tuple[int, int], int]]:
        started: deque[tuple[int, int]] = deque()

        def images() -> Iterator[bytes]:
            while not self._stop.is_set():
                started.append((self.oldest, self.newest))
                yield image

        for result in client.classify_many(images(), model="colors", window=4):
            assert not isinstance(result, Failure), result.error
            yield started.popleft(), check_classified(result)

    def _v2(self, image: bytes) -> Iterator[tuple[tuple[int, int], int]]:
        tensor = ModelInferRequest.InferInputTensor(name="image", datatype="BYTES", shape=[1])
        request = ModelInferRequest(
            model_name="colors",
            inputs=[tensor],
            outputs=[{"name": "probabilities"}],
            raw_input_contents=[join_strings([image])],
        )
        with grpc.insecure_channel(self.address) as channel:
            stub = GRPCInferenceServiceStub(channel)
            while not self._stop.is_set():
                allowed = (self.oldest, self.newest)
                yield allowed, check_tensor(stub.ModelInfer(request, timeout=30))
