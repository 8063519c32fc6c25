"""COCO's run lengths, as other tools write them, to masks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spyglass_contract.errors import InvalidInput
from spyglass_contract.masks.run_lengths import decode_runs, decompress_runs


def mask_from_coco(encoded: Mapping[str, Any]) -> NDArray[np.bool_]:
    """Return the mask, bool [height, width], of COCO run lengths: the inverse of `Segmentation.coco`.

    `encoded` has "size", [height, width], and "counts": a list of run lengths, or their compressed form as
    bytes or str, as pycocotools writes it. Raises InvalidInput if they are not valid run lengths of that
    size.
    """
    try:
        height, width = (int(side) for side in encoded["size"])
        counts = encoded["counts"]
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidInput(
            'COCO run lengths need "size": [height, width] and "counts"', reason="RUNS_INVALID"
        ) from error
    if height < 1 or width < 1:
        raise InvalidInput(f"a mask of {height}x{width} pixels is empty", reason="RUNS_INVALID")
    if isinstance(counts, str):
        counts = counts.encode("ascii", "replace")
    return decode_runs(decompress_runs(counts) if isinstance(counts, bytes) else counts, height, width)
