"""COCO's run lengths, as other tools write them, to masks."""

from __future__ import annotations

from collections.abc import Mapping
from operator import index
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spyglass_contract.errors import InvalidInput
from spyglass_contract.masks.placement import MAX_PIXELS
from spyglass_contract.masks.run_lengths import decode_runs, decompress_runs


def mask_from_coco(encoded: Mapping[str, Any]) -> NDArray[np.bool_]:
    """Return the mask, bool [height, width], of COCO run lengths: the inverse of `Segmentation.coco`.

    `encoded` has "size", [height, width], and "counts": a list of run lengths, or their compressed form as
    bytes or str, as pycocotools writes it. Raises InvalidInput if they are not valid run lengths of that
    size.
    """
    try:
        height, width = (index(side) for side in encoded["size"])
        counts = encoded["counts"]
    except (KeyError, TypeError, ValueError) as error:
        raise _invalid('COCO run lengths need "size": [height, width] and "counts"') from error
    if not (1 <= height <= MAX_PIXELS and 1 <= width <= MAX_PIXELS):
        raise _invalid(f'"size" must be two whole numbers from 1 to {MAX_PIXELS:,}')
    if isinstance(counts, bytearray | memoryview):
        counts = bytes(counts)
    return decode_runs(decompress_runs(counts) if isinstance(counts, bytes | str) else counts, height, width)


def _invalid(message: str) -> InvalidInput:
    return InvalidInput(message, reason="RUNS_INVALID")
