"""COCO's run-length encoding of masks: the lengths of runs of zeros and ones by turns, column by column.

The first run is of zeros, and has the length 0 if the mask begins with a one. The compressed form is the
ASCII of `rleToString` in pycocotools (github.com/cocodataset/cocoapi, common/maskApi.c). It holds the first
three lengths, and of every further length its difference from the length two before it. Each of these numbers
is written in groups of five bits, the lowest group first. A sixth bit says that another group follows, and
the highest bit of the last group is the sign.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from spyglass_contract.errors import InvalidInput
from spyglass_contract.masks.placement import MAX_PIXELS

_GROUP_BITS, _FIRST_CHARACTER = 5, 48
_MORE, _SIGN = 0x20, 0x10
# Seven groups hold 35 bits: every difference of two lengths below 2 to the 32nd.
_MAX_GROUPS = 7
_LONGEST = 2**32 - 1


def encode_runs(mask: NDArray[np.uint8], class_count: int) -> list[NDArray[np.uint32]]:
    """Return the run lengths of each class 0 to `class_count` - 1 in a mask, uint8 [height, width].

    Pixels with other values belong to none of these classes.
    """
    # The mask is read once for all classes and not transposed: the places where one value follows another are
    # found row by row, and only they are sorted.
    starts, labels = _runs(mask)
    ends = np.append(starts[1:], mask.size)
    return [
        _lengths(starts[of_class], ends[of_class], mask.size) for of_class in _by_class(labels, class_count)
    ]


def decode_runs(counts: Sequence[int] | NDArray[np.integer], height: int, width: int) -> NDArray[np.bool_]:
    """Return the mask of run lengths, bool [height, width].

    Raises InvalidInput if the mask has no pixels or more than MAX_PIXELS, if a length is not a whole number
    from 0 to the number of pixels, or if the sum of the lengths is not the number of pixels.
    """
    if height < 1 or width < 1 or height * width > MAX_PIXELS:
        raise _invalid(f"a mask must have 1 to {MAX_PIXELS:,} pixels, not {height}x{width} (height x width)")
    lengths = _whole_numbers(counts)
    if ((lengths < 0) | (lengths > height * width)).any():
        raise _invalid(f"a run length must be 0 to {height * width}, the number of pixels of the mask")
    total = int(lengths.sum())
    if total != height * width:
        raise _invalid(
            f"the run lengths must add up to {height * width} pixels ({height}x{width}), not {total}"
        )
    values = np.arange(len(lengths)) % 2 == 1
    return np.repeat(values, lengths.astype(np.int64)).reshape(width, height).T


def compress_runs(counts: Sequence[int] | NDArray[np.integer]) -> bytes:
    """Return the compressed form of run lengths from 0 to 2**32 - 1: ASCII, as pycocotools writes it."""
    differences = np.array(counts, np.int64)
    differences[3:] -= differences[1:-2].copy()
    groups = np.empty((len(differences), _MAX_GROUPS), np.uint8)
    needed = np.zeros(groups.shape, np.bool_)
    rest, unfinished = differences, np.ones(len(differences), np.bool_)
    for column in range(_MAX_GROUPS):
        needed[:, column] = unfinished
        group = (rest & (2**_GROUP_BITS - 1)).astype(np.uint8)
        rest = rest >> _GROUP_BITS
        unfinished = unfinished & np.where(group & _SIGN, rest != -1, rest != 0)
        groups[:, column] = group + unfinished * np.uint8(_MORE) + np.uint8(_FIRST_CHARACTER)
    return groups[needed].tobytes()


def decompress_runs(data: bytes | str) -> NDArray[np.uint32]:
    """Return the run lengths of a compressed form, uint32 [runs]; JSON has it as text, pycocotools as bytes.

    Raises InvalidInput if `data` has other characters, ends within a number, or holds a length that is not
    in 0 to 2**32 - 1.
    """
    try:
        characters = data.encode("ascii") if isinstance(data, str) else data
    except UnicodeEncodeError as error:
        raise _invalid("compressed run lengths must be ASCII") from error
    groups = np.frombuffer(characters, np.uint8).astype(np.int64) - _FIRST_CHARACTER
    if ((groups < 0) | (groups >= 2 * _MORE)).any():
        raise _invalid("compressed run lengths must be characters from '0' to 'o'")
    if len(groups) and groups[-1] & _MORE:
        raise _invalid("the compressed run lengths are cut off")
    last = np.flatnonzero(groups & _MORE == 0)
    first = np.append(0, last[:-1] + 1)[: len(last)]
    place = np.arange(len(groups)) - np.repeat(first, last - first + 1)
    if (place >= _MAX_GROUPS).any():
        raise _invalid(f"a compressed run length must have at most {_MAX_GROUPS} characters")
    parts = (groups & (2**_GROUP_BITS - 1)) << (_GROUP_BITS * place)
    differences = np.add.reduceat(parts, first) if len(first) else parts
    negative = groups[last] & _SIGN != 0
    differences -= negative * (np.int64(1) << (_GROUP_BITS * (place[last] + 1)))
    return _summed(differences)


def _whole_numbers(counts: Sequence[int] | NDArray[np.integer]) -> NDArray[np.integer]:
    """Return run lengths as an array of integers, [runs]. Raises InvalidInput if they are not integers."""
    try:
        lengths = np.asarray(counts)
    except (OverflowError, ValueError, TypeError) as error:
        raise _invalid("the run lengths must be a list of whole numbers") from error
    if lengths.ndim != 1 or (lengths.dtype.kind not in "iu" and lengths.size):
        raise _invalid("the run lengths must be a list of whole numbers below 2 to the 63rd")
    return lengths


def _invalid(message: str) -> InvalidInput:
    return InvalidInput(message, reason="RUNS_INVALID")


def _runs(mask: NDArray[np.uint8]) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """Return where each run of one value begins, in column-major order, and its value."""
    height, width = mask.shape
    rows, columns = np.divmod(np.flatnonzero(mask[1:] != mask[:-1]), width)
    down = columns * height + rows + 1
    tops = (np.flatnonzero(mask[0, 1:] != mask[-1, :-1]) + 1) * height
    starts = np.concatenate([np.zeros(1, np.int64), down, tops])
    starts.sort()
    columns, rows = np.divmod(starts, height)
    return starts, mask[rows, columns]


def _by_class(labels: NDArray[np.uint8], class_count: int) -> list[NDArray[np.intp]]:
    """Return the indices of the runs of each class, ascending."""
    order = np.argsort(labels, kind="stable")
    bounds = np.searchsorted(labels[order], np.arange(class_count + 1))
    return [order[first:end] for first, end in pairwise(bounds)]


def _lengths(starts: NDArray[np.int64], ends: NDArray[np.int64], size: int) -> NDArray[np.uint32]:
    """Return the lengths of zeros and ones by turns, if the ones lie from `starts` to `ends`."""
    borders = np.empty(2 * len(starts) + 1, np.int64)
    borders[:-1:2], borders[1::2], borders[-1] = starts, ends, size
    lengths = np.diff(borders, prepend=0)
    # No run of zeros if the mask ends with a one.
    return lengths[: len(lengths) - int(lengths[-1] == 0)].astype(np.uint32)


def _summed(differences: NDArray[np.int64]) -> NDArray[np.uint32]:
    """Return the lengths, of which all but the first three are given as differences, see the top."""
    lengths = differences
    for first in (1, 2):
        lengths[first::2] = np.cumsum(lengths[first::2])
    if ((lengths < 0) | (lengths > _LONGEST)).any():
        raise _invalid(f"a compressed run length must be 0 to {_LONGEST}")
    return lengths.astype(np.uint32)
