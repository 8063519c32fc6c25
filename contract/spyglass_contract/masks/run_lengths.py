"""COCO's run-length coding of masks: the lengths of the runs of zeros and ones in turn, column by column.

The first run is of zeros, and empty where the mask begins with a one. The compressed form is the ASCII of
`rleToString` in pycocotools (github.com/cocodataset/cocoapi, common/maskApi.c): from the fourth on each
length is the difference from the one two before it, written in groups of five bits, the lowest first. A sixth
bit says that another group follows, and the highest bit of the last group is the sign.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from spyglass_contract.errors import InvalidInput

_GROUP_BITS, _FIRST_CHARACTER = 5, 48
_MORE, _SIGN = 0x20, 0x10
# Seven groups hold 35 bits: every difference of two lengths below 2 to the 32nd.
_MAX_GROUPS = 7
_LONGEST = 2**32 - 1


def encode_runs(mask: NDArray[np.uint8], class_count: int) -> list[NDArray[np.uint32]]:
    """The lengths of each class 0 to `class_count` - 1 in uint8 [height, width]; other values are of none.

    The mask is read once for all classes and not transposed: the places where one value follows another are
    found row by row, and only they are put in order.
    """
    starts, labels = _runs(mask)
    ends = np.append(starts[1:], mask.size)
    return [
        _lengths(starts[of_class], ends[of_class], mask.size) for of_class in _by_class(labels, class_count)
    ]


def decode_runs(counts: Sequence[int] | NDArray[np.integer], height: int, width: int) -> NDArray[np.bool_]:
    """bool [height, width]. Raises InvalidInput where the lengths do not fill the mask."""
    try:
        lengths = np.asarray(counts, np.int64)
    except (OverflowError, ValueError, TypeError) as error:
        raise InvalidInput("the run lengths are not whole numbers", reason="RUNS_INVALID") from error
    # What is longer than the mask could wrap around in the sum.
    if lengths.ndim != 1 or ((lengths < 0) | (lengths > height * width)).any():
        raise InvalidInput("a run length is negative or longer than the mask", reason="RUNS_INVALID")
    if lengths.sum() != height * width:
        raise InvalidInput(f"the run lengths do not fill {height}x{width} pixels", reason="RUNS_INVALID")
    values = np.arange(len(lengths)) % 2 == 1
    return np.repeat(values, lengths).reshape(width, height).T


def compress_runs(counts: Sequence[int] | NDArray[np.integer]) -> bytes:
    """The lengths as ASCII, as pycocotools takes them."""
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


def decompress_runs(data: bytes) -> NDArray[np.uint32]:
    """The lengths in a compressed form. Raises InvalidInput where it is none."""
    groups = np.frombuffer(data, np.uint8).astype(np.int64) - _FIRST_CHARACTER
    if ((groups < 0) | (groups >= 2 * _MORE)).any() or (len(groups) and groups[-1] & _MORE):
        raise InvalidInput("the compressed run lengths are broken or cut off", reason="RUNS_INVALID")
    last = np.flatnonzero(groups & _MORE == 0)
    first = np.append(0, last[:-1] + 1)[: len(last)]
    place = np.arange(len(groups)) - np.repeat(first, last - first + 1)
    if (place >= _MAX_GROUPS).any():
        raise InvalidInput("a compressed run length is too long", reason="RUNS_INVALID")
    parts = (groups & (2**_GROUP_BITS - 1)) << (_GROUP_BITS * place)
    differences = np.add.reduceat(parts, first) if len(first) else parts
    negative = groups[last] & _SIGN != 0
    differences -= negative * (np.int64(1) << (_GROUP_BITS * (place[last] + 1)))
    return _summed(differences)


def _runs(mask: NDArray[np.uint8]) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """Where in the order of columns each run of one value begins, and its value."""
    height, width = mask.shape
    rows, columns = np.divmod(np.flatnonzero(mask[1:] != mask[:-1]), width)
    down = columns * height + rows + 1
    tops = (np.flatnonzero(mask[0, 1:] != mask[-1, :-1]) + 1) * height
    starts = np.concatenate([np.zeros(1, np.int64), down, tops])
    starts.sort()
    columns, rows = np.divmod(starts, height)
    return starts, mask[rows, columns]


def _by_class(labels: NDArray[np.uint8], class_count: int) -> list[NDArray[np.intp]]:
    """The indices of the runs of each class, ascending."""
    order = np.argsort(labels, kind="stable")
    bounds = np.searchsorted(labels[order], np.arange(class_count + 1))
    return [order[first:end] for first, end in pairwise(bounds)]


def _lengths(starts: NDArray[np.int64], ends: NDArray[np.int64], size: int) -> NDArray[np.uint32]:
    """The lengths of zeros and ones in turn, where the ones lie from `starts` to `ends`."""
    borders = np.empty(2 * len(starts) + 1, np.int64)
    borders[:-1:2], borders[1::2], borders[-1] = starts, ends, size
    lengths = np.diff(borders, prepend=0)
    # Zeros that follow the last one are left out where there are none.
    return lengths[: len(lengths) - int(lengths[-1] == 0)].astype(np.uint32)


def _summed(differences: NDArray[np.int64]) -> NDArray[np.uint32]:
    """The lengths, of which each from the fourth on comes as its difference from the one two before it."""
    lengths = differences
    for first in (1, 2):
        lengths[first::2] = np.cumsum(lengths[first::2])
    if ((lengths < 0) | (lengths > _LONGEST)).any():
        raise InvalidInput("a compressed run length is negative or too long", reason="RUNS_INVALID")
    return lengths.astype(np.uint32)
