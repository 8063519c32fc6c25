"""A loaded model: its card and its network."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray

from spyglass.v1.model_pb2 import ModelCard
from spyglass.v1.reply_pb2 import ServedBy
from spyglass_contract.model.certificate import verify
from spyglass_contract.model.precisions import FP32, file_precision
from spyglass_contract.model_files.model_file import changed
from spyglass_server.engine.models.precision import open_network
from spyglass_server.engine.models.providers.registry import best_batch
from spyglass_server.engine.models.resources import Resources as Resources

if TYPE_CHECKING:
    # The file of profiles is read with pydantic, which a client in this process does not need.
    from spyglass_server.engine.profiling.profile import Profile
    from spyglass_server.engine.work import Run

_log = logging.getLogger(__name__)


class Network(Protocol):
    """The interface of `Session`, which runs a network in ONNX Runtime."""

    card: ModelCard
    # The provider of `run`, and that of `explain` and `features`; the latter is read only for heatmaps.
    provider: str
    heatmap_provider: str

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
        self,
        network: Network,
        sha256: str,
        resources: Resources,
        heatmap_sha256: str = "",
        source: Source | None = None,
        *,
        external: bool = False,
    ) -> None:
        """Replay the certificate of `network`, which also warms it up. Raises CertificateError.

        `sha256` is of the file that computes classes and masks, `heatmap_sha256` of the one that computes
        heatmaps; empty: they are the same. Without a source the model cannot be measured. `external`: tensors
        are in files that no hash covers.
        """
        self.card = network.card
        self.task = self.card.task
        self.network = network
        self.resources = resources
        self.source = source
        self.class_names = tuple(self.card.class_names)
        self.served_by = ServedBy(
            model=self.card.name,
            version=self.card.version,
            sha256=sha256,
            provider=network.provider,
            precision=file_precision(self.card),
        )
        self._heatmap_sha256 = heatmap_sha256
        self.identity: bytes = self._identity(external)
        """Equal for two models only if they give the same response to every request."""
        found = verify(self.card, network.run)
        if found.changed_pixels:
            _log.warning(
                "%s: %s decode to other pixels here than in the export; the probabilities agree to %.1e",
                self.card.name,
                ", ".join(found.changed_pixels),
                found.max_abs_diff,
            )
        self.max_batch = resources.max_batch or best_batch(network.provider)
        """The largest batch that runs."""
        self.profile: Profile | None = None
        """The measured speed; None: not measured."""
        self.load_seconds = 0.0
        """How long its repository took to load it."""
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
        opened = open_network(path, resources)
        if opened.one_image:
            resources = replace(resources, max_batch=1)
        sums = (opened.sha256, opened.heatmap_sha256)
        chosen = replace(resources, precision=opened.precision)
        source = Source(path.parents[2], partial(_open_again, path, chosen, sums))
        return cls(
            opened.network,
            opened.sha256,
            resources,
            opened.heatmap_sha256,
            source,
            external=opened.external,
        )

    def _identity(self, external: bool) -> bytes:
        parts = (
            self.served_by.SerializeToString(deterministic=True).hex(),
            self._heatmap_sha256,
            # Of the settings, what changes heatmaps.
            str(self.resources.score_cam_channels),
            # Files that no hash covers may have changed since they were opened last.
            uuid4().hex if external else "",
        )
        return " ".join(parts).encode()

    @property
    def heatmaps_served_by(self) -> ServedBy:
        """What `served_by` is for a heatmap, which another provider or another file may compute."""
        served_by = ServedBy()
        served_by.CopyFrom(self.served_by)
        served_by.provider = self.network.heatmap_provider
        if self._heatmap_sha256:
            served_by.sha256, served_by.precision = self._heatmap_sha256, FP32
        return served_by


def _open_again(path: Path, resources: Resources, sums: tuple[str, str], threads: int) -> Network:
    """Open a file as it is open already, but for the threads of a run. Raises ModelError if it changed."""
    opened = open_network(path, replace(resources, threads_per_worker=threads))
    if (opened.sha256, opened.heatmap_sha256) != sums:
        raise changed(path)
    return opened.network
