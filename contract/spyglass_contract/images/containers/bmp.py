"""BMP by the Windows GDI documentation of BITMAPV5HEADER and its predecessors."""

from __future__ import annotations

import struct

from spyglass_contract.images.containers.container import Container
from spyglass_contract.images.limits import Limits, check_pixels
from spyglass_contract.images.refusals import broken_header, too_slow, unsupported_kind

# The only decoder here that is written in Python: 0.1 s a megapixel and 0.2 s a megabyte.
MAX_RUN_LENGTH_PIXELS = 4 * 1024 * 1024
MAX_RUN_LENGTH_BYTES = 4 * 1024 * 1024
# An entry for each value of 8 bits; more are not used.
MAX_PALETTE = 65_536

_CORE = 12
_HEADERS = (40, 52, 56, 64, 108, 124)
_RLE8, _RLE4, _BIT_FIELDS, _JPEG, _PNG = 1, 2, 3, 4, 5
_BITS = (1, 4, 8, 16, 24, 32)
_RUN_LENGTH = {_RLE8: 8, _RLE4: 4}
# (red, green, blue, alpha) by bits a pixel; alpha only with 32 bits.
_MASKS = {
    32: {
        (0xFF0000, 0xFF00, 0xFF, 0),
        (0xFF000000, 0xFF0000, 0xFF00, 0),
        (0xFF000000, 0xFF00, 0xFF, 0),
        (0xFF000000, 0xFF0000, 0xFF00, 0xFF),
        (0xFF, 0xFF00, 0xFF0000, 0xFF000000),
        (0xFF0000, 0xFF00, 0xFF, 0xFF000000),
        (0xFF000000, 0xFF00, 0xFF, 0xFF0000),
        (0, 0, 0, 0),
    },
    24: {(0xFF0000, 0xFF00, 0xFF, 0)},
    16: {(0xF800, 0x7E0, 0x1F, 0), (0x7C00, 0x3E0, 0x1F, 0)},
}


def read(data: bytes, limits: Limits) -> Container:
    """Return the BMP; its rows must be uncompressed or run-length encoded.

    Raises LimitExceeded if it is run-length encoded and has more than 4 megapixels or 4 MiB; ImageError if
    the header is broken or the kind is not read.
    """
    try:
        return _read(data, limits)
    except struct.error as error:
        raise broken_header("BMP") from error


def _read(data: bytes, limits: Limits) -> Container:
    offset, size = struct.unpack_from("<LL", data, 10)
    if size == _CORE:
        width, height, _, bits = struct.unpack_from("<HHHH", data, 18)
        compression = colors = 0
    elif size in _HEADERS:
        width, height, _, bits, compression = struct.unpack_from("<LLHHL", data, 18)
        (colors,) = struct.unpack_from("<L", data, 46)
        # Only a negative height is allowed: the rows run from top to bottom.
        height = 2**32 - height if height >= 0xFF000000 else height
    elif _CORE < size < max(_HEADERS):
        raise unsupported_kind("BMP", f"with a header of {size} bytes")
    else:
        raise broken_header("BMP")
    check_pixels(width, height, limits)
    if bits not in _BITS:
        raise unsupported_kind("BMP", f"of {bits} bits a pixel")
    if bits <= 8 and colors > MAX_PALETTE:
        raise broken_header("BMP")
    if compression == _BIT_FIELDS:
        _check_masks(data, size, bits)
    elif _RUN_LENGTH.get(compression) == bits:
        check_pixels(width, height, Limits(max_pixels=MAX_RUN_LENGTH_PIXELS))
        _check_run_lengths(len(data) - offset)
    elif compression:
        names = {_JPEG: "that holds a JPEG", _PNG: "that holds a PNG"}
        raise unsupported_kind("BMP", names.get(compression, f"of {bits} bits, compression {compression}"))
    return Container("BMP", width, height, (data,), alpha_may_be_unused=True)


def _check_masks(data: bytes, size: int, bits: int) -> None:
    masks = struct.unpack_from("<LLL", data, 54)
    # The size of the header says whether a fourth mask belongs to it.
    alpha = struct.unpack_from("<L", data, 66) if size >= 56 and bits == 32 else (0,)
    if masks + alpha not in _MASKS.get(bits, ()):
        raise unsupported_kind("BMP", f"of {bits} bits a pixel with unusual masks")


def _check_run_lengths(coded_bytes: int) -> None:
    if coded_bytes > MAX_RUN_LENGTH_BYTES:
        raise too_slow(
            "BMP",
            f"has {coded_bytes:,} run-length encoded bytes; the limit is {MAX_RUN_LENGTH_BYTES:,}: "
            "save it as PNG",
        )
