"""What a network's output says of each class."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def class_probabilities(output: NDArray[np.float32]) -> NDArray[np.float32]:
    """float32 [batch, classes] of an output [batch, classes], or of a single one for two classes.

    A single output, [batch, 1], is the probability p of the second class, as a sigmoid gives it: it becomes
    [1 - p, p]. Other outputs, those for each pixel too, are returned as they are.
    """
    return np.concatenate([1 - output, output], axis=-1) if output.shape[1:] == (1,) else output
