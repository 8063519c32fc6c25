"""The softmax in plain numpy, to compare model files with."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def softmax(logits: NDArray[Any]) -> NDArray[Any]:
    """Return probabilities [batch, classes] of logits [batch, classes]."""
    exponentials: NDArray[Any] = np.exp(logits - logits.max(1, keepdims=True))
    return exponentials / exponentials.sum(1, keepdims=True)
