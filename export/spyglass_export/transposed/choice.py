"""Which transposed convolutions ONNX Runtime computes faster as plain ones: see benchmarks/transposed.py."""

from __future__ import annotations

from spyglass_export.transposed.reading import Transposed

# Channels that ONNX Runtime's plain convolution computes side by side with AVX-512. To it, fewer are as much
# work; to its transposed one, a product of matrices, they are less.
LANES = 16


def is_faster_plain(layer: Transposed, *, with_head: bool) -> bool:
    """Whether the phases of `layer` take less time than itself, `with_head`: those of a head behind it too.

    Joining them costs as much as they save where no kernel overlaps the next. A head saves the joining.
    """
    overlaps = any(axis.kernel > axis.stride for axis in layer.axes)
    return with_head or (layer.weight.shape[1] >= LANES and (layer.stride == 1 or overlaps))
