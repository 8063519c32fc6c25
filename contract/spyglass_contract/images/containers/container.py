"""What a decoder is given of a file, and what this package must do after it."""

from __future__ import annotations

from dataclasses import dataclass

from spyglass_contract.images.orientation import AS_STORED


@dataclass(frozen=True)
class Container:
    """The parts of an image file that its pixels need."""

    # Pillow's name of the format.
    format_name: str
    # Pixels as stored, before the orientation is applied.
    width: int
    height: int
    # Files of the same format without everything else: one, or one a colour plane.
    parts: tuple[bytes, ...]
    orientation: int = AS_STORED
    # Pillow's mode to merge the planes to; empty if there is one part.
    planes: str = ""
    # How many bits of a 16-bit sample are used, counted from the lowest.
    bits: int = 16
    # The least value is white. True only if Pillow does not invert it.
    white_is_zero: bool = False
    # An alpha channel that is 0 everywhere counts as none.
    alpha_may_be_unused: bool = False
    # Bytes that may follow a file without an end, if it is whole, without changing its pixels; empty if it
    # ends.
    probe: bytes = b""
