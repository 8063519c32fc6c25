"""Batch sizes that a GPU sees."""

from __future__ import annotations


def padded_size(images: int) -> int:
    """Return the smallest power of two that is not less than `images`, which must be positive.

    cuDNN searches its algorithms, and TensorRT tunes its kernels, again for every size: with padding there
    are 7 sizes up to 64 instead of 64.
    """
    return 1 << (images - 1).bit_length()


def padded_sizes(largest: int) -> list[int]:
    """Return every size of a batch that the GPU sees if the largest batch has `largest` images."""
    return [1 << power for power in range(padded_size(largest).bit_length())]
