"""Outputs of networks that are not finite numbers."""

from __future__ import annotations

import logging
from math import isfinite

import numpy as np
from numpy.typing import NDArray

from spyglass_contract.errors import InternalError
from spyglass_server.engine.models.model import Model

_log = logging.getLogger(__name__)


def check_finite(model: Model, *outputs: NDArray[np.float32]) -> None:
    """Raise InternalError if an output of the model holds NaN or infinity."""
    # A sum in double precision is finite only if every float32 value is.
    if not all(isfinite(output.sum(dtype=np.float64)) for output in outputs):
        _log.error("%s returned NaN or infinity", model.card.name)
        raise InternalError("the output of the model is not finite", reason="OUTPUT_NOT_FINITE")
