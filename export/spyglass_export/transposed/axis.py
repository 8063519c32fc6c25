"""A transposed convolution along one axis, taken apart into plain ones.

With stride s every s-th number of the output is made with the same weights. So the output is s plain
convolutions of the input, its phases, whose results take turns: the sub-pixel convolution of Shi et al. 2016
(Real-Time Single Image and Video Super-Resolution), but each phase with no more weights than it has.
"""

from __future__ import annotations

from dataclasses import dataclass

from spyglass_export.transposed.taps import Taps, taps


@dataclass(frozen=True)
class Axis:
    """A transposed convolution along one axis, of `size` numbers, as ONNX states it.

    `begin` and `end` are cut off the output, or added to it where they are negative.
    """

    size: int
    kernel: int
    stride: int
    begin: int
    end: int
    output_padding: int

    @property
    def output(self) -> int:
        """How many numbers it makes."""
        return self.stride * (self.size - 1) + self.kernel + self.output_padding - self.begin - self.end

    @property
    def places(self) -> int:
        """How many numbers each phase makes: as many as the longest of them."""
        return -(-self.output // self.stride)

    @property
    def cut(self) -> int:
        """How many numbers the phases make too many at the end, because all are as long as the longest."""
        return self.stride * self.places - self.output

    @property
    def phases(self) -> list[Taps]:
        """The plain convolutions whose results take turns."""
        return [self._phase(number) for number in range(self.stride)]

    def _phase(self, number: int) -> Taps:
        """What makes the outputs `number`, stride + `number`, 2 · stride + `number` and so on.

        Output o takes input i times weight k where o + begin = stride · i + k. For o = stride · m + number
        and i = m + offset that is k = number + begin - stride · offset.
        """
        aligned, surplus = number + self.begin, self.places - self.size
        lowest, highest = -((self.kernel - 1 - aligned) // self.stride), aligned // self.stride
        # A plain convolution has no negative padding; weights of zero reach to where its padding would be 0.
        first = min(lowest, 0)
        last = max(highest, first, -surplus)
        weights = (aligned - self.stride * offset for offset in range(first, last + 1))
        return taps(weights, self.kernel, begin=-first, end=surplus + last)
