"""The integers of quantised types, and the quantisers among them that stand for a ReLU6."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from onnx import TensorProto

# The least and the largest integer of each type, as in TensorProto.DataType.
LIMITS: Mapping[int, tuple[int, int]] = {
    TensorProto.UINT8: (0, 255),
    TensorProto.INT8: (-128, 127),
    TensorProto.UINT16: (0, 65535),
    TensorProto.INT16: (-32768, 32767),
    TensorProto.UINT4: (0, 15),
    TensorProto.INT4: (-8, 7),
}
_RELU6 = 6


def relu6_bound(element: int, scale: float) -> float | None:
    """Return the number above which a quantiser whose range starts at 0 acts as a ReLU6, None if it does not.

    The range must end within half a step of 6. The bound is half a step below its end, as the float32 that a
    graph holds. `element` must be a type of `LIMITS`.
    """
    least, most = LIMITS[element]
    if abs((most - least) * scale - _RELU6) > scale / 2:
        return None
    return float(np.float32((most - least - 0.5) * scale))
