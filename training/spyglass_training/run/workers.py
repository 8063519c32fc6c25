"""Several machines that train one network together, each on its part of every batch.

Imports TensorFlow.
"""

from __future__ import annotations

from typing import Any

import tensorflow


class Workers(tensorflow.distribute.MultiWorkerMirroredStrategy):
    """TensorFlow's strategy with two fixes for Keras 3."""

    def reduce(self, reduce_op: Any, value: Any, axis: int | None) -> Any:
        """Return one of the replicas' values, as the base class does.

        Keras passes a whole batch, a tuple, to learn its shapes; the local values are enough for that. Keras
        also requests the mean of metrics over their first axis; metrics are numbers and have no axis.
        """
        if isinstance(value, tuple):
            return tuple(self.experimental_local_results(each)[0] for each in value)
        is_number = self.experimental_local_results(value)[0].shape.rank == 0
        return super().reduce(reduce_op, value, None if is_number else axis)
