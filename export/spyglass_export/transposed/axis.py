"""A transposed convolution along one axis, split into plain convolutions.

With stride s, every s-th number of the output uses the same weights. So the output interleaves s plain
convolutions of the input, its phases. This is the sub-pixel convolution of Shi et al. 2016 (Real-Time Single
Image and Video Super-Resolution), except that each phase has only its own weights, without zeros.
"""

from __future__ import annotations

from dataclasses import dataclass

from spyglass_export.transposed.taps import Taps, taps


@dataclass(frozen=True)
class Axis:
    """A transposed convolution along one axis with an input of `size`, in ONNX's terms.

    `begin` and `end` are cut off the output, or added to it if they are negative.
    """

    size: int
    kernel: int
    stride: int
    begin: int
    end: int
    output_padding: int

    @property
    def output(self) -> int:
        """Size of the output."""
        return self.stride * (self.size - 1) + self.kernel + self.output_padding - self.begin - self.end

    @property
    def places(self) -> int:
        """Size of each phase: that of the longest phase."""
        return -(-self.output // self.stride)

    @property
    def cut(self) -> int:
        """Surplus numbers at the end of the interleaved phases, because all phases have the same size."""
        return self.stride * self.places - self.output

    @property
    def phases(self) -> list[Taps]:
        """The plain convolutions whose results interleave."""
        return [self._phase(number) for number in range(self.stride)]

    def _phase(self, number: int) -> Taps:
        """The convolution of the outputs `number`, stride + `number`, 2 · stride + `number` and so on.

        Output o uses input i times weight k if o + begin = stride · i + k. For o = stride · m + number
        and i = m + offset, that is k = number + begin - stride · offset.
        """
        aligned, surplus = number + self.begin, self.places - self.size
        lowest, highest = -((self.kernel - 1 - aligned) // self.stride), aligned // self.stride
        # A plain convolution has no negative padding, so weights of zero extend the kernel to a padding of 0.
        first = min(lowest, 0)
        last = max(highest, first, -surplus)
        weights = (aligned - self.stride * offset for offset in range(first, last + 1))
        return taps(weights, self.kernel, begin=-first, end=surplus + last)
