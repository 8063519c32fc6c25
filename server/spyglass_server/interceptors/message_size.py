"""The size of a message without its image, measured on the bytes before they are parsed."""

from __future__ import annotations

from google.protobuf.descriptor import Descriptor

from spyglass.v1.image_pb2 import Image

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
# The fields that hold an image's file or pixels, and the messages that contain these fields.
_PIXELS = frozenset(
    {
        "spyglass.v1.Image.encoded",
        "spyglass.v1.RawImage.data",
        "inference.ModelInferRequest.raw_input_contents",
        "inference.InferTensorContents.bytes_contents",
    }
)
# Pixels as numbers: parsed, they take up to 4 times their bytes, and to read them takes long.
_NUMBERS = frozenset({"inference.InferTensorContents.uint_contents"})
_ON_THE_WAY = frozenset(
    {
        "spyglass.v1.Image.raw",
        "inference.ModelInferRequest.inputs",
        "inference.ModelInferRequest.InferInputTensor.contents",
    }
)


def size_without_image(
    data: bytes, descriptor: Descriptor | None, limit: int, *, numbers: bool = False
) -> int:
    """Return the number of bytes of a message of this type without the files or the pixels of its images.

    With `numbers`, pixels that are sent as numbers count, too.

    A parsed message can take thirty times the memory of its bytes if they hold empty messages. So the rest of
    a request must be small. Bytes that are not a message count in full. Counting stops above `limit`.
    """
    return _size(data, 0, len(data), _images(descriptor, numbers) if descriptor else {}, limit)


Images = dict[int, "Images | None"]
"""Fields by number: None for a field of pixels, or the fields of a message that contains one."""

_known: dict[tuple[str, bool], Images] = {}


def _images(descriptor: Descriptor, numbers: bool) -> Images:
    key = (descriptor.full_name, numbers)
    if key not in _known:
        fields: Images = {}
        for field in descriptor.fields:
            if field.full_name in _PIXELS or (field.full_name in _NUMBERS and not numbers):
                fields[field.number] = None
            elif field.message_type and (
                field.message_type is Image.DESCRIPTOR or field.full_name in _ON_THE_WAY
            ):
                fields[field.number] = _images(field.message_type, numbers)
        _known[key] = fields
    return _known[key]


def _size(data: bytes, at: int, end: int, images: Images, limit: int) -> int:
    """Return the size of data[at:end] without the image fields in `images`; stop above `limit`."""
    if not images:
        return end - at
    size, start = 0, at
    while at < end and size <= limit:
        key, at = _varint(data, at, end)
        kind, number = key & 7, key >> 3
        if kind == _VARINT:
            _, at = _varint(data, at, end)
        elif kind in (_FIXED64, _FIXED32):
            at += 8 if kind == _FIXED64 else 4
        elif kind == _BYTES:
            length, at = _varint(data, at, end)
            if length > end - at:
                return size + end - start
            if number in images:
                inside = images[number]
                size += at - start + (0 if inside is None else _size(data, at, at + length, inside, limit))
                at += length
                start = at
                continue
            at += length
        else:
            return size + end - start
        size += at - start
        start = at
    return size


def _varint(data: bytes, at: int, end: int) -> tuple[int, int]:
    value = shift = 0
    while at < end and shift < 70:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    # Not a number: the bytes that follow cannot be read.
    return 0x7, end
