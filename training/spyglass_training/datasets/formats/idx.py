"""IDX, the format of the original MNIST files, plain or compressed by gzip.

Two bytes of zero, the type (8: uint8), the number of dimensions, each of them as four bytes big-endian, and
the values (http://yann.lecun.com/exdb/mnist).
"""

from __future__ import annotations

import gzip
import zlib
from math import prod
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

_UINT8 = 8
_GZIP = b"\x1f\x8b"


def read_idx(path: Path) -> NDArray[np.uint8]:
    """Return the array in a file. Raises ValueError if it is not uint8 or incomplete."""
    data = path.read_bytes()
    if data.startswith(_GZIP):
        try:
            data = gzip.decompress(data)
        except (OSError, EOFError, zlib.error) as error:
            raise ValueError(f"{path.name} is damaged: {error}") from error
    if len(data) < 4 or data[:2] != b"\0\0" or data[2] != _UINT8:
        raise ValueError(f"{path.name} is not an IDX file of bytes")
    start = 4 + 4 * data[3]
    shape = [int.from_bytes(data[at : at + 4], "big") for at in range(4, start, 4)]
    if len(data) != start + prod(shape):
        raise ValueError(
            f"{path.name} has {len(data):,} bytes, but its header states {start + prod(shape):,}"
        )
    return np.frombuffer(data, np.uint8, offset=start).reshape(shape)


def find_idx(folder: Path, stem: str) -> Path:
    """Return the file `stem` in a folder, plain or compressed. Raises FileNotFoundError."""
    for name in (stem, f"{stem}.gz"):
        if (folder / name).is_file():
            return folder / name
    raise FileNotFoundError(f"{folder} has neither {stem} nor {stem}.gz")
