"""Several machines that train one network together, each on its share of every batch. Imports TensorFlow."""

from __future__ import annotations

from typing import Any

import tensorflow


class Workers(tensorflow.distribute.MultiWorkerMirroredStrategy):
    """TensorFlow's strategy, with the two things that Keras 3 asks of it and it does not do."""

    def reduce(self, reduce_op: Any, value: Any, axis: int | None) -> Any:
        """One of the replicas' values, as the base has it.

        Keras passes a whole batch, a tuple, to learn its shapes: ours will do. And it asks for the mean over
        the first axis of metrics, which are numbers and have none.
        """
        if isinstance(value, tuple):
            return tuple(self.experimental_local_results(each)[0] for each in value)
        is_number = self.experimental_local_results(value)[0].shape.rank == 0
        return super().reduce(reduce_op, value, None if is_number else axis)
