"""Decoded images as rows of arrays, in memory or in files that are kept for other runs."""

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
from google.protobuf import json_format
from numpy.typing import NDArray

from spyglass.v1.model_pb2 import InputSpec
from spyglass_contract.errors import ImageError, InvalidInput
from spyglass_contract.images.input_spec import channels
from spyglass_training.datasets.example import Example
from spyglass_training.datasets.reading.damaged_files import READER_ERRORS
from spyglass_training.datasets.reading.decoding import Broken, decode_in_order
from spyglass_training.datasets.reading.options import ReadingOptions

log = logging.getLogger(__name__)

# Names of the files in the cache.
_ARRAYS, _ACCOUNT = ("pixels.npy", "masks.npy"), "account.json"

# Another run that replaces a damaged table may remove this one's between two of its steps.
_ATTEMPTS = 2

# Maximum number of unreadable images that an error names.
_NAMED = 10


@dataclass(frozen=True)
class Account:
    """Which images were read."""

    # The index, in the given order, of the image of each row.
    rows: list[int]
    # "name: why" of every image that could not be read.
    broken: list[str]
    # SHA-256 over the names and contents of the images that were read, lower-case hexadecimal.
    sha256: str
    # One list for each content that several images have: their indices in the given order.
    repeated: list[list[int]]


@dataclass(frozen=True)
class Table:
    """Decoded images, one in each row."""

    # uint8 [rows, height, width, channels].
    pixels: NDArray[np.uint8]
    # uint8 [rows, height, width]; None if the images have no masks.
    masks: NDArray[np.uint8] | None
    account: Account


def read_table(images: Sequence[Example], spec: InputSpec, options: ReadingOptions) -> Table:
    """Decode every image, and its mask, to the input of `spec`.

    With a cache the table is kept there, and read from there if nothing has changed; damaged files in the
    cache are replaced. Raises ImageError, with the names, if images cannot be read and are not to be skipped.
    Raises InvalidInput if the table is too large for memory and there is no cache, or if the cache is not a
    folder.
    """
    if options.cache is None:
        table = _in_memory(images, spec, options.memory_bytes)
    else:
        table = _in_files(images, spec, options.cache, options.memory_bytes)
    _report_broken(table.account.broken, options)
    return table


def _report_broken(broken: Sequence[str], options: ReadingOptions) -> None:
    if broken and not options.skip_corrupt:
        names = "".join(f"\n  {line}" for line in broken[:_NAMED])
        more = f"\n  and {len(broken) - _NAMED} more" if len(broken) > _NAMED else ""
        raise ImageError(f"cannot read {len(broken)} images:{names}{more}", field="data")
    for line in broken:
        log.warning("skipped: %s", line)


def _in_memory(images: Sequence[Example], spec: InputSpec, memory_bytes: int) -> Table:
    shapes = _shapes(images, spec)
    size = sum(prod(shape) for shape in shapes)
    if size > memory_bytes:
        raise InvalidInput(
            f"{len(images):,} images of {spec.width}×{spec.height} take {size / 1e9:.1f} GB, more than "
            f"the limit of {memory_bytes / 1e9:.1f} GB of memory; pass a folder to cache them in",
            field="cache",
        )
    arrays = [np.empty(shape, np.uint8) for shape in shapes]
    return _table(arrays, _fill(arrays, images, spec))


def _in_files(images: Sequence[Example], spec: InputSpec, cache: Path, memory_bytes: int) -> Table:
    if cache.exists() and not cache.is_dir():
        raise InvalidInput(f"the cache {cache} must be a folder, not a file", field="cache")
    folder, shapes = cache / _key(images, spec), _shapes(images, spec)
    for _ in range(_ATTEMPTS):
        if kept := _kept(folder, shapes, memory_bytes):
            return kept
        cache.mkdir(parents=True, exist_ok=True)
        # Written to a temporary folder first, because the run may be killed or another run may write the
        # same.
        with tempfile.TemporaryDirectory(prefix="unfinished-", dir=cache) as unfinished:
            _write(Path(unfinished), images, spec)
            # Only a damaged table is removed: another run may have written one meanwhile.
            if folder.exists() and not _kept(folder, shapes, memory_bytes):
                shutil.rmtree(folder, ignore_errors=True)
            # If the other run was first, its table is as good.
            with contextlib.suppress(OSError):
                Path(unfinished).rename(folder)
    if kept := _kept(folder, shapes, memory_bytes):
        return kept
    raise InvalidInput(f"cannot read back the table that was written to {folder}", field="cache")


def _kept(folder: Path, shapes: Sequence[tuple[int, ...]], memory_bytes: int) -> Table | None:
    """Return the table in a folder of the cache; None if there is none or it is damaged."""
    try:
        account = Account(**json.loads((folder / _ACCOUNT).read_text(encoding="utf-8")))
        files = [folder / name for name, _ in zip(_ARRAYS, shapes, strict=False)]
        large = sum(file.stat().st_size for file in files) > memory_bytes
        arrays = [np.load(file, mmap_mode="r" if large else None, allow_pickle=False) for file in files]
        whole = [(array.dtype, array.shape) for array in arrays] == [(np.uint8, shape) for shape in shapes]
        return _table(arrays, account) if whole and len(account.rows) <= shapes[0][0] else None
    except READER_ERRORS:
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
    """Return a key that changes with the images, the network's input and the decoder."""
    # As JSON: the numbers of enums have changed since early versions, their names have not.
    described = json_format.MessageToJson(spec, sort_keys=True)
    digest = hashlib.sha256(f"{PIL.__version__}\0{described}\0".encode())
    for image in images:
        digest.update(f"{image.name}\0{image.stamp}\0{image.outside}\n".encode())
    return digest.hexdigest()[:32]


def _shapes(images: Sequence[Example], spec: InputSpec) -> list[tuple[int, ...]]:
    """Return the shapes of the pixels and, if there are any, of the masks."""
    pixels = (len(images), spec.height, spec.width, channels(spec))
    return [pixels, pixels[:3]] if any(image.read_mask for image in images) else [pixels]


def _fill(arrays: Sequence[NDArray[np.uint8]], images: Sequence[Example], spec: InputSpec) -> Account:
    """Write one row for each readable image, without gaps."""
    rows: list[int] = []
    broken: list[str] = []
    digest = hashlib.sha256()
    by_content: dict[str, list[int]] = {}
    for index, decoded in enumerate(decode_in_order(images, spec)):
        if isinstance(decoded, Broken):
            broken.append(f"{decoded.name}: {decoded.reason}")
            continue
        arrays[0][len(rows)] = decoded.pixels
        if decoded.mask is not None:
            arrays[1][len(rows)] = decoded.mask
        rows.append(index)
        by_content.setdefault(decoded.image_sha256, []).append(index)
        digest.update(f"{decoded.sha256}  {images[index].name}\n".encode())
    repeated = [indices for indices in by_content.values() if len(indices) > 1]
    return Account(rows, broken, digest.hexdigest(), repeated)


def _table(arrays: Sequence[NDArray[np.uint8]], account: Account) -> Table:
    filled = [array[: len(account.rows)] for array in arrays]
    return Table(filled[0], filled[1] if len(filled) > 1 else None, account)
