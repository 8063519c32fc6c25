"""The probabilities of all classes from a network's output."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def class_probabilities(output: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the probabilities of all classes from the output of a network, float32.

    An output [batch, 1] is the probability p of the second of two classes, as a sigmoid gives it: it becomes
    [1 - p, p], [batch, 2]. Every other output is returned unchanged: [batch, classes], or [batch, height,
    width, classes] of a segmentation network.
    """
    return np.concatenate([1 - output, output], axis=-1) if output.shape[1:] == (1,) else output
