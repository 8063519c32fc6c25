"""The strips or tiles of a TIFF: as many as the image needs, within the limits of their work."""

from __future__ import annotations

from spyglass_contract.images.containers import jpeg
from spyglass_contract.images.containers.tiff_directory import Directory, Numbers, Tag, first
from spyglass_contract.images.containers.tiff_kinds import JPEG, LZMA, UNCOMPRESSED, Layout
from spyglass_contract.images.refusals import broken_header, cut_off, too_many, too_slow

# LZMA is the slowest compression: 0.1 s a megabyte.
MAX_LZMA_BYTES = 8 * 1024 * 1024
MAX_JPEG_SEGMENTS = 262_144


def strip_entries(data: bytes, directory: Directory, layout: Layout) -> dict[int, Numbers | bytes]:
    """Return the entries of strips or tiles, as many as the image needs, and bound the work for them."""
    tiled = Tag.TILE_OFFSETS in directory
    if tiled:
        width, height = first(directory, Tag.TILE_WIDTH, 0), first(directory, Tag.TILE_HEIGHT, 0)
    else:
        width = layout.width
        height = min(first(directory, Tag.ROWS_PER_STRIP, layout.height), layout.height)
    if not 0 < width <= 65_535 or not 0 < height <= 65_535 or not layout.width or not layout.height:
        raise broken_header("TIFF")
    across, down = -(-layout.width // width), -(-layout.height // height)
    needed = across * down * (layout.samples if layout.planar else 1)
    offsets_tag, bytes_tag = (
        (Tag.TILE_OFFSETS, Tag.TILE_BYTES) if tiled else (Tag.STRIP_OFFSETS, Tag.STRIP_BYTES)
    )
    offsets, sizes = directory.get(offsets_tag, ()), directory.get(bytes_tag, ())
    assert not isinstance(offsets, bytes) and not isinstance(sizes, bytes)
    if len(offsets) < needed:
        raise broken_header("TIFF")
    offsets, sizes = offsets[:needed], sizes[:needed]
    if layout.compression == UNCOMPRESSED:
        row = -(-width * layout.bits * (1 if layout.planar else layout.samples) // 8)
        sizes = tuple(
            row * min(height, layout.height - index // across % down * height) for index in range(needed)
        )
    elif needed == 1 and not sizes:
        sizes = (max(len(data) - offsets[0], 0),)
    if len(sizes) < needed:
        raise broken_header("TIFF")
    _check_strips(data, directory, offsets, sizes, layout, width * height)
    entries: dict[int, Numbers | bytes] = {offsets_tag: offsets, bytes_tag: sizes}
    if not tiled:
        entries[Tag.ROWS_PER_STRIP] = (height,)
    return entries


def _check_strips(
    data: bytes, directory: Directory, offsets: Numbers, sizes: Numbers, layout: Layout, pixels: int
) -> None:
    if any(offset + size > len(data) for offset, size in zip(offsets, sizes, strict=True)):
        raise cut_off("TIFF")
    if pixels * len(offsets) > 4 * max(layout.width * layout.height * layout.samples, 1024 * 1024):
        raise too_slow("TIFF", "has tiles that are far larger than its image")
    if layout.compression == UNCOMPRESSED:
        return
    total = sum(sizes)
    if total > len(data):
        raise too_slow("TIFF", "has strips or tiles that share the same bytes")
    if layout.compression == LZMA and total > MAX_LZMA_BYTES:
        raise too_slow("TIFF", f"has {total:,} bytes of LZMA data; the limit is {MAX_LZMA_BYTES:,}")
    if layout.compression == JPEG:
        if len(directory.get(Tag.JPEG_TABLES, b"")) > jpeg.MAX_TABLE_BYTES:
            raise too_many(
                "TIFF",
                "IMAGE_TOO_MANY_SEGMENTS",
                jpeg.MAX_TABLE_BYTES,
                "bytes of JPEG tables",
                "save it again",
            )
        segments = scanned = 0
        for offset, size in zip(offsets, sizes, strict=True):
            more, work = jpeg.check_strip(data[offset : offset + size], pixels)
            segments, scanned = segments + more, scanned + work
            if segments > MAX_JPEG_SEGMENTS:
                raise too_many(
                    "TIFF", "IMAGE_TOO_MANY_SEGMENTS", MAX_JPEG_SEGMENTS, "JPEG segments", "save it again"
                )
            if scanned > jpeg.MAX_SCANNED_PIXELS:
                raise too_slow("TIFF", "has too many progressive JPEG scans for its pixels")
