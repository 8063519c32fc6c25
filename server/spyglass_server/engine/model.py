"""A loaded model: its card, its session, its scheduler."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from spyglass.v1.model_pb2 import ModelCard
from spyglass_contract.model.certificate import verify
from spyglass_server.domain import ServedBy
from spyglass_server.engine.call import Call
from spyglass_server.engine.scheduler import Answer, Run, Scheduler
from spyglass_server.engine.session import Session

_log = logging.getLogger(__name__)

# Convolutional networks run slower in batches on a CPU, one by one and many at a time is best; a GPU
# is idle without batches.
_BEST_BATCH = {"CPUExecutionProvider": 1, "CUDAExecutionProvider": 16}


@dataclass(frozen=True)
class Resources:
    """What a model may use."""

    # auto, cpu, cuda or cuda:N.
    device: str = "auto"
    # How many inferences at once, and threads for each.
    workers: int = 1
    threads_per_worker: int = 1
    # Images that run together at most; 0: what suits the device.
    max_batch: int = 0
    # Channels that Score-CAM tries, those of most energy; 0: all.
    score_cam_channels: int = 0


class Network(Protocol):
    """What runs a model: `Session` is the one that serves."""

    card: ModelCard
    provider: str

    def run(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """uint8 [batch, height, width, channels] to float32 [batch, …], from any thread."""

    def explain(
        self, pixels: NDArray[np.uint8], classes: Sequence[int]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """As `Session.explain`; asked only of a network whose card names the layer explained."""

    def features(
        self, pixels: NDArray[np.uint8]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
        """As `Session.features`; asked only of a network whose card says Score-CAM."""


class Model:
    """A network that proved itself and takes images."""

    def __init__(self, network: Network, sha256: str, resources: Resources) -> None:
        """Replays the certificate of `network`, which also warms it up. Raises CertificateError."""
        self.card = network.card
        self.network = network
        self.resources = resources
        self.class_names = tuple(self.card.class_names)
        self.served_by = ServedBy(self.card.name, self.card.version, sha256, network.provider)
        found = verify(self.card, network.run)
        if found.changed_pixels:
            _log.warning(
                "%s: this decoder gives other pixels than the export's for %s; the answers agree to %.1e",
                self.card.name,
                ", ".join(found.changed_pixels),
                found.max_abs_diff,
            )
        self._scheduler = Scheduler(
            network.run,
            workers=resources.workers,
            max_batch=resources.max_batch or _BEST_BATCH.get(network.provider, 1),
            name=self.card.name,
        )

    @classmethod
    def load(cls, path: Path, resources: Resources) -> Model:
        """Opens a file. Raises DeviceError, CardError, CertificateError and ModelError."""
        session = Session(path, device=resources.device, threads=resources.threads_per_worker)
        return cls(session, _sha256(path), resources)

    @property
    def max_batch(self) -> int:
        return self._scheduler.max_batch

    def submit(
        self,
        pixels: NDArray[np.uint8],
        call: Call,
        answered: Future[Answer[Any]] | None = None,
        run: Run[Any] | None = None,
    ) -> Future[Answer[Any]]:
        """As `Scheduler.submit`; by itself the network gives its probabilities."""
        return self._scheduler.submit(pixels, call, answered, run)

    def close(self) -> None:
        """Answers what waits and stops."""
        self._scheduler.close()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
