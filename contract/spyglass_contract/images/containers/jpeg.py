"""JPEG by ITU-T T.81, annex B: the frame, the tables and the scans of the first image."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from spyglass_contract.errors import ImageError
from spyglass_contract.images.containers.container import Container
from spyglass_contract.images.containers.jpeg_markers import (
    END_OF_IMAGE,
    START_OF_SCAN,
    markers,
    without_fill_bytes,
)
from spyglass_contract.images.limits import Limits, check_pixels
from spyglass_contract.images.orientation import AS_STORED, exif_orientation, xmp_orientation
from spyglass_contract.images.refusals import broken_header, cut_off, too_many, too_slow, unsupported_kind

# A progressive JPEG is decoded scan by scan over the whole image. Encoders write about ten.
MAX_SCANS = 64
# A colour profile takes up to 255 of them, everything else a few.
MAX_SEGMENTS = 2048
# Tables before the first scan: sound files have 3 kB at most. Pillow reads them in Python.
MAX_TABLE_BYTES = 64 * 1024
# Pixels times scans of a progressive JPEG: 64 megapixels in ten scans.
MAX_SCANNED_PIXELS = 640 * 1024 * 1024
# An arithmetic decoder takes about 0.1 s a megabyte.
MAX_ARITHMETIC_BYTES = 8 * 1024 * 1024
# A JPEG without an end is decoded twice, to see whether it is whole; a larger one counts as cut off.
MAX_UNENDED_BYTES = 16 * 1024 * 1024

_RESTARTS = tuple(bytes([0xFF, 0xD0 + number]) for number in range(8))
_TABLES = {0xC4, 0xCC, 0xDB, 0xDD}
_FRAMES = {0xC0, 0xC1, 0xC2, 0xC3, 0xC9, 0xCA}
_PROGRESSIVE, _ARITHMETIC, _LOSSLESS = {0xC2, 0xCA}, {0xC9, 0xCA}, {0xC3}
_UNREAD_FRAMES = {
    0xC5: "that is hierarchical",
    0xC6: "that is hierarchical",
    0xC7: "that is hierarchical",
    0xCB: "that is lossless and arithmetic-coded",
    0xCD: "that is hierarchical",
    0xCE: "that is hierarchical",
    0xCF: "that is hierarchical",
    0xDE: "that is hierarchical",
    0xF7: "of the kind JPEG-LS",
}
_COEFFICIENTS = 64
# Coded data that decodes to other pixels than the zeros that a decoder makes up for what is missing.
_CODED = bytes.fromhex("a55a3cc3692d") * 12


@dataclass
class _Frame:
    """What the segments say, as far as they have been read."""

    kind: int = 0
    width: int = 0
    height: int = 0
    components: tuple[int, ...] = ()
    tables: list[bytes] = field(default_factory=list)
    application: dict[int, bytes] = field(default_factory=dict)
    # Of the first EXIF block; None before it.
    orientation: int | None = None
    orientation_by_xmp: int = AS_STORED
    scans: int = 0
    # By component: the number of low bits that the scans have left out of each coefficient; 99: all.
    missing: dict[int, list[int]] = field(default_factory=dict)


def read(data: bytes, limits: Limits) -> Container:
    """Return the JPEG without application data, comments, fill bytes, and what follows its end.

    Raises LimitExceeded above 2,048 segments, 64 scans, 64 KiB of tables, 640 million pixels over all scans,
    or 8 MiB of arithmetic-coded data; ImageError if the header is broken or the kind is not read.
    """
    frame = _Frame()
    first_scan, end = 0, len(data)
    ended = False
    for segments, (marker, start) in enumerate(markers(data), start=1):
        if segments > MAX_SEGMENTS:
            raise too_many(
                "JPEG", "IMAGE_TOO_MANY_SEGMENTS", MAX_SEGMENTS, "segments", "save it again with fewer"
            )
        if marker == END_OF_IMAGE:
            ended, end = True, start
            break
        length = int.from_bytes(data[start : start + 2], "big")
        body = data[start + 2 : start + max(length, 2)]
        if marker == START_OF_SCAN:
            first_scan = first_scan or start - 2
            _scan(frame, body)
        elif not first_scan:
            if marker in _UNREAD_FRAMES:
                raise unsupported_kind("JPEG", _UNREAD_FRAMES[marker])
            _segment(frame, marker, data[start - 2 : start + length], body)
    if not first_scan or not frame.kind:
        raise broken_header("JPEG")
    check_pixels(frame.width, frame.height, limits)
    _check_work(frame, end - first_scan)
    scans = without_fill_bytes(data, first_scan, end)
    whole = b"".join((b"\xff\xd8", *frame.application.values(), *frame.tables, *scans))
    if not ended:
        whole = whole.rstrip(b"\xff")
    orientation = frame.orientation or AS_STORED
    if orientation == AS_STORED:
        orientation = frame.orientation_by_xmp
    return Container(
        "JPEG",
        frame.width,
        frame.height,
        (whole if ended else whole + b"\xff\xd9",),
        orientation,
        probe=b"" if ended else _probe(frame, whole),
    )


def check_strip(data: bytes, pixels: int) -> tuple[int, int]:
    """Bound one JPEG strip or tile of a TIFF; return its segments, and its pixels times its scans.

    `pixels` is the size of the strip. Raises LimitExceeded and ImageError as `read` does.
    """
    frame, segments = _Frame(), 0
    for segments, (marker, _) in enumerate(markers(data), start=1):
        if segments > MAX_SEGMENTS:
            raise too_many(
                "TIFF", "IMAGE_TOO_MANY_SEGMENTS", MAX_SEGMENTS, "JPEG segments a strip", "save it again"
            )
        if marker == START_OF_SCAN:
            _scan(frame, b"")
        elif not frame.scans and (marker in _UNREAD_FRAMES or marker in _ARITHMETIC | _LOSSLESS):
            raise unsupported_kind("TIFF", "with JPEG strips that are neither sequential nor progressive")
    return segments, pixels * frame.scans


def _segment(frame: _Frame, marker: int, whole: bytes, body: bytes) -> None:
    """Take a segment before the first scan: a table, a frame, or what states colours or EXIF."""
    if marker in _TABLES:
        frame.tables.append(whole)
        if sum(map(len, frame.tables)) > MAX_TABLE_BYTES:
            raise too_many(
                "JPEG", "IMAGE_TOO_MANY_SEGMENTS", MAX_TABLE_BYTES, "bytes of tables", "save it again"
            )
    elif marker in _FRAMES:
        _start_of_frame(frame, marker, body)
        frame.tables.append(whole)
    elif marker == 0xE0 and body.startswith(b"JFIF\0") and len(body) >= 14:
        frame.application.setdefault(marker, b"\xff\xe0\0\x10" + body[:12] + b"\0\0")
    elif marker == 0xEE and body.startswith(b"Adobe") and len(body) >= 12:
        frame.application[marker] = b"\xff\xee\0\x0e" + body[:12]
    elif marker == 0xE1 and body.startswith(b"Exif\0\0") and frame.orientation is None:
        frame.orientation = exif_orientation(body[6:])
    elif marker == 0xE1 and body.startswith(b"http://ns.adobe.com/xap/1.0/\0"):
        frame.orientation_by_xmp = xmp_orientation(body)


def _start_of_frame(frame: _Frame, marker: int, body: bytes) -> None:
    if frame.kind:
        raise ImageError("the JPEG has two frames", field="image")
    if len(body) < 6 or len(body) < 6 + 3 * body[5]:
        raise broken_header("JPEG")
    bits, frame.height, frame.width, count = struct.unpack_from(">BHHB", body)
    if bits != 8:
        raise unsupported_kind("JPEG", f"of {bits} bits a sample")
    if count not in (1, 3, 4):
        raise unsupported_kind("JPEG", f"of {count} components")
    components = [body[6 + 3 * index : 9 + 3 * index] for index in range(count)]
    for shift in (4, 0):
        factors = [component[1] >> shift & 15 for component in components]
        if 0 in factors:
            raise broken_header("JPEG")
        if count > 1 and any(max(factors) % factor for factor in factors):
            raise unsupported_kind("JPEG", "whose colours are subsampled by a fraction")
    frame.kind = marker
    frame.components = tuple(component[0] for component in components)
    frame.missing = {component: [99] * _COEFFICIENTS for component in frame.components}


def _scan(frame: _Frame, body: bytes) -> None:
    """Count a scan, and note which coefficients it completes."""
    frame.scans += 1
    if frame.scans > MAX_SCANS:
        raise too_many("JPEG", "IMAGE_TOO_MANY_SCANS", MAX_SCANS, "scans", "save it again with fewer")
    if len(body) < 1 or len(body) < 4 + 2 * body[0]:
        return
    count = body[0]
    first, last, bits = body[1 + 2 * count : 4 + 2 * count]
    sequential = frame.kind not in _PROGRESSIVE
    band = range(_COEFFICIENTS) if sequential else range(first, min(last, _COEFFICIENTS - 1) + 1)
    for component in body[1 : 1 + 2 * count : 2]:
        missing = frame.missing.get(component, [])
        for coefficient in band if missing else ():
            missing[coefficient] = 0 if sequential else bits & 15


def _check_work(frame: _Frame, coded_bytes: int) -> None:
    scans = frame.scans if frame.kind in _PROGRESSIVE else 1
    if frame.width * frame.height * scans > MAX_SCANNED_PIXELS:
        raise too_slow(
            "JPEG",
            f"has {frame.width}x{frame.height} pixels in {scans} scans; the limit of pixels times scans is "
            f"{MAX_SCANNED_PIXELS:,}: save it without progressive scans",
        )
    if frame.kind in _ARITHMETIC and coded_bytes > MAX_ARITHMETIC_BYTES:
        raise too_slow(
            "JPEG",
            f"has {coded_bytes:,} arithmetic-coded bytes; the limit is {MAX_ARITHMETIC_BYTES:,}: save it "
            "with Huffman coding",
        )


def _probe(frame: _Frame, whole: bytes) -> bytes:
    """Return the JPEG again, with coded data after its last byte.

    If the last scan is whole, a decoder skips that data and the pixels are the same; if not, it decodes the
    data in the place of what is missing, and they differ. Raises ImageError if a scan is missing altogether,
    or if the JPEG is too large to be decoded twice.
    """
    scans = frame.scans if frame.kind in _PROGRESSIVE else 1
    too_long = len(whole) > MAX_UNENDED_BYTES or frame.width * frame.height * scans > MAX_SCANNED_PIXELS // 2
    if too_long or any(bits for coefficients in frame.missing.values() for bits in coefficients):
        raise cut_off("JPEG")
    last_restart = max(
        ((whole.rfind(restart), number) for number, restart in enumerate(_RESTARTS)), default=(-1, 0)
    )
    following = last_restart[1] + 1 if last_restart[0] >= 0 else 0
    restarts = b"".join(_RESTARTS[(following + step) % 8] + _CODED for step in range(2))
    return whole + _CODED + restarts + b"\xff\xd9"
