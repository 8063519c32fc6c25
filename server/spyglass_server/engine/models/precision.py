"""A model file at the precision of the settings: as it is, in bf16, or in int8 from the file beside it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from spyglass.v1.model_pb2 import ModelCard
from spyglass_contract.errors import CardError, ModelError
from spyglass_contract.model import held_out as held_out_file
from spyglass_contract.model.certificate import verify
from spyglass_contract.model.comparison import Comparison
from spyglass_contract.model.held_out import HeldOut, read_held_out
from spyglass_contract.model.precisions import BF16, FP32, INT8, INT8_FILE, USUAL, Tolerance, tolerance_of
from spyglass_server.engine.models.choices import ComputePrecision, Precision
from spyglass_server.engine.models.faster import time_ratio
from spyglass_server.engine.models.gate import PrecisionError, pass_gate
from spyglass_server.engine.models.reduced_network import ReducedNetwork, bf16_card, reduced_card
from spyglass_server.engine.models.resources import Resources
from spyglass_server.engine.models.session import Session

_log = logging.getLogger(__name__)

# The setting auto takes a reduced precision only if an image takes less than this fraction of its time.
_WORTHWHILE = 0.9


@dataclass(frozen=True)
class Opened:
    """An open network. `sha256` is of the file of its classes, `heatmap_sha256` of that of its heatmaps.

    `external`: tensors are in other files, which the hashes do not cover.
    """

    network: Session | ReducedNetwork
    sha256: str
    heatmap_sha256: str
    one_image: bool
    # The setting that opens the same network again.
    precision: Precision
    external: bool


@dataclass(frozen=True)
class _Original:
    """The network of `model.onnx` as it is."""

    path: Path
    session: Session
    resources: Resources

    @property
    def sha256(self) -> str:
        return self.session.sha256

    def as_it_is(self) -> Opened:
        session = self.session
        return Opened(session, self.sha256, self.sha256, session.one_image, FP32, session.external)

    def held_out(self) -> HeldOut | None:
        """Return the held-out images beside the file. Raises ModelError if they are invalid."""
        file = self.path.with_name(held_out_file.FILE_NAME)
        if not file.exists():
            return None
        return read_held_out(file, self.session.card, self.sha256, self.resources.rules.check_signature)


def open_network(path: Path, resources: Resources) -> Opened:
    """Open NAME/VERSION/model.onnx at the precision of `resources`.

    `auto` takes the fastest precision that passes the gate, and keeps the file as it is if none is faster.
    Raises PrecisionError if another precision is missing or refused, and the errors of `Session`.
    """
    original = _Original(path, _session(path, resources), resources)
    card = original.session.card
    if resources.precision == FP32:
        return original.as_it_is()
    if card.HasField("reduced_precision"):
        if resources.precision == "auto":
            return original.as_it_is()
        raise PrecisionError(
            f"{path.name} already holds a network in {card.reduced_precision.precision}, and the "
            f"precision {resources.precision} was requested: use fp32, which serves the file as it is"
        )
    if resources.precision == "auto":
        return _fastest(original, resources)
    try:
        return _OPEN[resources.precision](original, resources)
    except PrecisionError as error:
        raise PrecisionError(
            f"the precision {resources.precision} is refused: {error.message}", reason=error.reason
        ) from error


def _fastest(original: _Original, resources: Resources) -> Opened:
    card, best, least = original.session.card, original.as_it_is(), _WORTHWHILE
    for precision, open_at in _OPEN.items():
        # A broken file beside a good one must not keep the good one from being served.
        try:
            opened = open_at(original, resources)
        except ModelError as error:
            _log.info("%s stays in fp32, not in %s: %s", card.name, precision, error.message)
            continue
        ratio = time_ratio(card, original.session.run, opened.network.run)
        _log.info("%s in %s takes %.2f times the time of fp32", card.name, precision, ratio)
        if ratio < least:
            best, least = opened, ratio
    return best


def _open_int8(original: _Original, resources: Resources) -> Opened:
    path, card = original.path.with_name(INT8_FILE), original.session.card
    if not path.is_file():
        raise PrecisionError(
            f"{card.name}/{card.version} has no {INT8_FILE}; `spyglass quantise` makes it",
            reason="PRECISION_MISSING",
        )
    session = _session(path, resources)
    _check_card(card, session.card, original.sha256)
    _pass_gate(original, session, INT8, tolerance_of(session.card.reduced_precision))
    network = _reduced(original, session, reduced_card(card, session.card))
    external = session.external or original.session.external
    return Opened(network, session.sha256, original.sha256, session.one_image, INT8, external)


def _open_bf16(original: _Original, resources: Resources) -> Opened:
    session = _session(original.path, resources, "bf16")
    found = _pass_gate(original, session, BF16, USUAL)
    network = _reduced(original, session, bf16_card(original.session.card, found, original.sha256))
    return Opened(network, original.sha256, original.sha256, session.one_image, BF16, session.external)


_OPEN: dict[str, Callable[[_Original, Resources], Opened]] = {INT8: _open_int8, BF16: _open_bf16}


def _reduced(original: _Original, session: Session, card: ModelCard) -> ReducedNetwork:
    """Return the network of both sessions. Raises CertificateError if `session` fails the certificate."""
    verify(card, session.run)
    return ReducedNetwork(original.session, session, card)


def _pass_gate(original: _Original, reduced: Session, precision: str, tolerance: Tolerance) -> Comparison:
    card = original.session.card
    found = pass_gate(card, original.session.run, reduced.run, original.held_out(), tolerance)
    _log.info("%s in %s: %s keep their class", card.name, precision, found.agreement_text())
    if tolerance.lowered:
        _log.warning(
            "%s in %s may lose more than usual: its card requires %.2f %% of the classes and allows a "
            "loss of %.2f points",
            card.name,
            precision,
            100 * tolerance.agreement,
            100 * tolerance.metric_loss,
        )
    return found


def _check_card(original: ModelCard, reduced: ModelCard, sha256: str) -> None:
    """Raise CardError unless the file in int8 was made from this model file, and its card says so."""
    made_from = reduced.reduced_precision
    if made_from.precision != INT8:
        raise CardError(f"{INT8_FILE} holds a network in {made_from.precision or FP32}, not in {INT8}")
    if made_from.source_sha256 != sha256:
        raise CardError(
            f"{INT8_FILE} was made from a file with the SHA-256 {made_from.source_sha256[:64] or '(none)'}, "
            f"and the model file has {sha256}: make it again with `spyglass quantise`"
        )
    for name in ("name", "version", "task", "input", "class_names"):
        if getattr(original, name) != getattr(reduced, name):
            raise CardError(f"the card of {INT8_FILE} has another {name} than the model file")


def _session(path: Path, resources: Resources, precision: ComputePrecision = "fp32") -> Session:
    return Session(
        path,
        device=resources.device,
        provider=resources.provider,
        threads=resources.threads_per_worker,
        precision=precision,
        parallel_runs=resources.workers,
        max_batch=resources.max_batch,
        gpu_memory_limit=resources.gpu_memory_limit,
        engine_cache=resources.engine_cache,
        rules=resources.rules,
    )
