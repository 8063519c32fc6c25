"""The precisions of a network, and what a reduced one must keep of the original to be served."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from spyglass.v1.model_pb2 import ModelCard, ReducedPrecision
from spyglass_contract.errors import CardError
from spyglass_contract.model.comparison import Comparison

FP32: Final = "fp32"
BF16: Final = "bf16"
INT8: Final = "int8"

INT8_FILE = "model.int8.onnx"
"""The name of the file of a network in int8, beside `model.onnx`."""

LEAST_AGREEMENT = 0.99
"""The fraction of the images, or pixels, that must keep their class."""
MOST_METRIC_LOSS = 0.005
"""The largest loss of accuracy or mean IoU, as a fraction: 0.005 is half a point."""


@dataclass(frozen=True)
class Tolerance:
    """What a reduced network must keep: this agreement of the classes, and the metric up to this loss."""

    agreement: float = LEAST_AGREEMENT
    metric_loss: float = MOST_METRIC_LOSS

    @property
    def lowered(self) -> bool:
        """True if this allows more than the usual tolerance."""
        return self.agreement < LEAST_AGREEMENT or self.metric_loss > MOST_METRIC_LOSS


USUAL = Tolerance()


def tolerance_of(reduced: ReducedPrecision) -> Tolerance:
    """Return the tolerance that a card states."""
    return Tolerance(reduced.least_agreement, reduced.most_metric_loss)


def shortfall(found: Comparison, tolerance: Tolerance) -> str:
    """Return what a reduced network lacks, with the figures; empty if it keeps enough."""
    if not found.finite:
        return "it returns numbers that are not finite"
    if not found.compared:
        return "it was compared on no image"
    problems = []
    if found.agreement < tolerance.agreement:
        problems.append(
            f"{found.agreement_text()} keep their class, and at least {tolerance.agreement:.2%} must"
        )
    if (loss := found.metric_loss) is not None and loss > tolerance.metric_loss:
        problems.append(
            f"the {found.metric} falls from {found.original_metric:.2%} to {found.reduced_metric:.2%}, and "
            f"it may fall by at most {100 * tolerance.metric_loss:g} points"
        )
    return "; ".join(problems)


def file_precision(card: ModelCard) -> str:
    """Return the precision of the network in a file: `int8`, or `fp32` for a network that is not reduced."""
    return card.reduced_precision.precision or FP32


def validate_reduced(reduced: ReducedPrecision) -> None:
    """Raise CardError with the first value of a card's `reduced_precision` that is invalid."""
    if reduced.precision not in (BF16, INT8):
        raise CardError(f"the card's precision must be {BF16} or {INT8}, not {reduced.precision[:100]!r}")
    fractions = ("agreement", "least_agreement", "most_metric_loss", "original_metric", "reduced_metric")
    for name in fractions:
        # The comparison is false for NaN, too.
        if not 0 <= getattr(reduced, name) <= 1:
            raise CardError(f"the card's {name} must be in [0, 1], not {getattr(reduced, name):g}")
