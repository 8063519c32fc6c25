"""A loaded model: its card and its network."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from spyglass.v1.model_pb2 import ModelCard
from spyglass.v1.reply_pb2 import ServedBy
from spyglass_contract.model.certificate import verify
from spyglass_server.engine.models.session import Session

if TYPE_CHECKING:
    # The file of profiles is read with pydantic, which a client in this process does not need.
    from spyglass_server.engine.profiling.profile import Profile
    from spyglass_server.engine.work import Run

_log = logging.getLogger(__name__)

# On a CPU convolutional networks are fastest one image a run, with many runs at a time. A GPU needs batches.
_BEST_BATCH = {"CPUExecutionProvider": 1, "CUDAExecutionProvider": 16}


@dataclass(frozen=True)
class Resources:
    """The resources that a model may use."""

    # auto, cpu, cuda or cuda:N.
    device: str = "auto"
    # Inferences at a time, of all models together, and threads for each of them.
    workers: int = 1
    threads_per_worker: int = 1
    # Largest batch; 0: that of the model's profile, or the default of the device.
    max_batch: int = 0
    # Channels that Score-CAM uses, those with the most energy; 0: all.
    score_cam_channels: int = 0


class Network(Protocol):
    """The interface of `Session`, which runs a network in ONNX Runtime."""

    card: ModelCard
    provider: str

    def run(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Map uint8 [batch, height, width, channels] to float32 [batch, …]; safe to call from any thread."""

    def explain(
        self, pixels: NDArray[np.uint8], classes: Sequence[int]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """See `Session.explain`; called only if the card names an explained layer."""

    def features(
        self, pixels: NDArray[np.uint8]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
        """See `Session.features`; called only if the card's method is Score-CAM."""


@dataclass(frozen=True)
class Source:
    """The origin of a network, from which it can be opened again."""

    # The folder with NAME/VERSION/model.onnx.
    models: Path
    # Opens the file, with this number of threads for a run. Raises ModelError.
    open_network: Callable[[int], Network]


class Model:
    """A network whose certificate was replayed."""

    def __init__(
        self, network: Network, sha256: str, resources: Resources, source: Source | None = None
    ) -> None:
        """Replay the certificate of `network`, which also warms it up. Raises CertificateError.

        Without a source the model cannot be measured.
        """
        self.card = network.card
        self.task = self.card.task
        self.network = network
        self.resources = resources
        self.source = source
        self.class_names = tuple(self.card.class_names)
        self.served_by = ServedBy(
            model=self.card.name, version=self.card.version, sha256=sha256, provider=network.provider
        )
        found = verify(self.card, network.run)
        if found.changed_pixels:
            _log.warning(
                "%s: %s decode to other pixels here than in the export; the probabilities agree to %.1e",
                self.card.name,
                ", ".join(found.changed_pixels),
                found.max_abs_diff,
            )
        self.max_batch = resources.max_batch or _BEST_BATCH.get(network.provider, 1)
        """The largest batch that runs."""
        self.profile: Profile | None = None
        """The measured speed; None: not measured."""
        self._wide: Network | None = None

    def use_profile(self, profile: Profile) -> None:
        """Take a profile into account: its largest batch, unless the resources have one."""
        self.profile = profile
        self.max_batch = self.resources.max_batch or profile.max_batch

    def use_wide(self, network: Network) -> None:
        """Use `network`, which has more threads, for lone requests. Raises CertificateError if it may not."""
        verify(self.card, network.run)
        self._wide = network

    def widest(self, run: Run[Any]) -> Run[Any]:
        """Return the run of more threads that a lone request uses in place of `run`, or `run` itself."""
        return self._wide.run if self._wide and run == self.network.run else run

    @classmethod
    def load(cls, path: Path, resources: Resources) -> Model:
        """Open a file. Raises DeviceError, CardError, CertificateError and ModelError."""
        session = Session(path, device=resources.device, threads=resources.threads_per_worker)
        if session.one_image:
            resources = replace(resources, max_batch=1)
        source = Source(path.parents[2], partial(_open, path, resources))
        return cls(session, _sha256(path), resources, source)


def _open(path: Path, resources: Resources, threads: int) -> Network:
    return Session(path, device=resources.device, threads=threads)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
