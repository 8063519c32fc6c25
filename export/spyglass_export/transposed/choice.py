"""Choice of the transposed convolutions that are faster as plain ones: see benchmarks/transposed.py."""

from __future__ import annotations

from spyglass_export.transposed.reading import Transposed

# Channels that ONNX Runtime's plain convolution computes at once with AVX-512. Fewer channels cost the plain
# convolution the same, but cost the transposed convolution, a matrix product, less.
LANES = 16


def is_faster_plain(layer: Transposed, *, with_head: bool) -> bool:
    """Return whether the phases of `layer` take less time than the layer itself.

    If no kernel overlaps the next, joining the phases costs as much as they save. With a head behind the
    layer (`with_head`), the phases of the few channels are cheap to join.
    """
    overlaps = any(axis.kernel > axis.stride for axis in layer.axes)
    return with_head or (layer.weight.shape[1] >= LANES and (layer.stride == 1 or overlaps))
