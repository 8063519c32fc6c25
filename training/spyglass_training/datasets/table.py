"""Decoded images as rows of arrays, in memory or in files that are kept for the next run."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import prod
from pathlib import Path

import numpy as np
import PIL
from numpy.typing import NDArray

from spyglass.v1.model_pb2 import InputSpec
from spyglass_contract.errors import ImageError, InvalidInput
from spyglass_contract.images.input_spec import channels
from spyglass_training.datasets.decoding import Broken, decode_in_order
from spyglass_training.datasets.example import Example
from spyglass_training.datasets.reader_boundary import STUMBLES
from spyglass_training.datasets.reading import ReadingOptions

log = logging.getLogger(__name__)

# In the cache.
_ARRAYS, _ACCOUNT = ("pixels.npy", "masks.npy"), "account.json"

# Broken images that an error names.
_NAMED = 10


@dataclass(frozen=True)
class Account:
    """What became of the images."""

    # Where in the given order the image of each row was.
    rows: list[int]
    # "name: why" of every image that has no row.
    broken: list[str]
    # SHA-256 over the names and contents of those that were read, lower-case hexadecimal.
    sha256: str


@dataclass(frozen=True)
class Table:
    """Decoded images, one a row."""

    # uint8 [rows, height, width, channels].
    pixels: NDArray[np.uint8]
    # uint8 [rows, height, width]; None where the images have no masks.
    masks: NDArray[np.uint8] | None
    account: Account


def read_table(images: Sequence[Example], spec: InputSpec, options: ReadingOptions) -> Table:
    """Decodes every image, and its mask, to the input that `spec` states.

    With a cache the table is kept there, and taken from there when nothing has changed. Raises ImageError,
    with the names, where images cannot be read and are not to be skipped, and InvalidInput where the table
    is too large for memory and there is no cache, or the cache is no folder. What is damaged in the cache is
    made again.
    """
    if options.cache is None:
        table = _in_memory(images, spec, options.memory_bytes)
    else:
        table = _in_files(images, spec, options.cache, options.memory_bytes)
    _tell(table.account.broken, options)
    return table


def _tell(broken: Sequence[str], options: ReadingOptions) -> None:
    if broken and not options.skip_corrupt:
        names = "".join(f"\n  {line}" for line in broken[:_NAMED])
        more = f"\n  and {len(broken) - _NAMED} more" if len(broken) > _NAMED else ""
        raise ImageError(f"images that cannot be read: {len(broken)}{names}{more}", field="data")
    for line in broken:
        log.warning("left out: %s", line)


def _in_memory(images: Sequence[Example], spec: InputSpec, memory_bytes: int) -> Table:
    shapes = _shapes(images, spec)
    size = sum(prod(shape) for shape in shapes)
    if size > memory_bytes:
        raise InvalidInput(
            f"{len(images):,} images of {spec.width}×{spec.height} take {size / 1e9:.1f} GB, more than "
            f"the {memory_bytes / 1e9:.1f} GB of memory they may have; name a folder to cache them in",
            field="cache",
        )
    arrays = [np.empty(shape, np.uint8) for shape in shapes]
    return _table(arrays, _fill(arrays, images, spec))


def _in_files(images: Sequence[Example], spec: InputSpec, cache: Path, memory_bytes: int) -> Table:
    if cache.exists() and not cache.is_dir():
        raise InvalidInput(f"{cache} is a file, not a folder to keep images in", field="cache")
    folder = cache / _key(images, spec)
    kept = _kept(folder, _shapes(images, spec), memory_bytes)
    if kept is None:
        shutil.rmtree(folder, ignore_errors=True)
        cache.mkdir(parents=True, exist_ok=True)
        # Beside it first: the run may be killed, and another one may be writing the same.
        with tempfile.TemporaryDirectory(prefix="unfinished-", dir=cache) as unfinished:
            _write(Path(unfinished), images, spec)
            # Where the other one was first, its table is as good.
            with contextlib.suppress(OSError):
                Path(unfinished).rename(folder)
        kept = _kept(folder, _shapes(images, spec), memory_bytes)
    if kept is None:
        raise InvalidInput(f"what was written to {folder} is not what is there", field="cache")
    return kept


def _kept(folder: Path, shapes: Sequence[tuple[int, ...]], memory_bytes: int) -> Table | None:
    """The table in a folder of the cache; None where there is none, or what is there is damaged."""
    try:
        account = Account(**json.loads((folder / _ACCOUNT).read_text(encoding="utf-8")))
        files = [folder / name for name, _ in zip(_ARRAYS, shapes, strict=False)]
        large = sum(file.stat().st_size for file in files) > memory_bytes
        arrays = [np.load(file, mmap_mode="r" if large else None, allow_pickle=False) for file in files]
        whole = [(array.dtype, array.shape) for array in arrays] == [(np.uint8, shape) for shape in shapes]
        return _table(arrays, account) if whole and len(account.rows) <= shapes[0][0] else None
    except STUMBLES:
        return None


def _write(folder: Path, images: Sequence[Example], spec: InputSpec) -> None:
    arrays = [
        np.lib.format.open_memmap(folder / name, "w+", np.dtype(np.uint8), shape)
        for name, shape in zip(_ARRAYS, _shapes(images, spec), strict=False)
    ]
    account = _fill(arrays, images, spec)
    for array in arrays:
        array.flush()
    (folder / _ACCOUNT).write_text(json.dumps(asdict(account)), encoding="utf-8")


def _key(images: Sequence[Example], spec: InputSpec) -> str:
    """Another one when an image, the network's input or the decoder changes."""
    digest = hashlib.sha256(PIL.__version__.encode() + spec.SerializeToString(deterministic=True))
    for image in images:
        digest.update(f"{image.name}\0{image.stamp}\0{image.outside}\n".encode())
    return digest.hexdigest()[:32]


def _shapes(images: Sequence[Example], spec: InputSpec) -> list[tuple[int, ...]]:
    """Of the pixels and, where there are any, of the masks."""
    pixels = (len(images), spec.height, spec.width, channels(spec))
    return [pixels, pixels[:3]] if any(image.read_mask for image in images) else [pixels]


def _fill(arrays: Sequence[NDArray[np.uint8]], images: Sequence[Example], spec: InputSpec) -> Account:
    """Writes a row for each image that can be read, without gaps."""
    rows: list[int] = []
    broken: list[str] = []
    digest = hashlib.sha256()
    for index, decoded in enumerate(decode_in_order(images, spec)):
        if isinstance(decoded, Broken):
            broken.append(f"{decoded.name}: {decoded.reason}")
            continue
        arrays[0][len(rows)] = decoded.pixels
        if decoded.mask is not None:
            arrays[1][len(rows)] = decoded.mask
        rows.append(index)
        digest.update(f"{decoded.sha256}  {images[index].name}\n".encode())
    return Account(rows, broken, digest.hexdigest())


def _table(arrays: Sequence[NDArray[np.uint8]], account: Account) -> Table:
    filled = [array[: len(account.rows)] for array in arrays]
    return Table(filled[0], filled[1] if len(filled) > 1 else None, account)
