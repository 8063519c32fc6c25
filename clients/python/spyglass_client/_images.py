"""What a caller calls an image, to what travels.

A file travels as it is. A Pillow image is turned upright and brought to grey or RGB here, by the rules that
the server has for files, and travels as raw pixels like an array does: nothing is lost and no time is spent
on packing. Where bytes on the network matter, send the file.
"""

from __future__ import annotations

import os
from os import PathLike
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage

from spyglass.v1.image_pb2 import Image, RawImage
from spyglass_contract.errors import ImageError, InternalError, LimitExceeded
from spyglass_contract.images.decode import decode, from_array, to_mode
from spyglass_contract.images.header import Limits
from spyglass_contract.images.orientation import upright

ImageLike = str | PathLike[str] | bytes | bytearray | memoryview | PillowImage.Image | NDArray[np.uint8]
"""The path of a file, a whole file, a Pillow image, or uint8 [height, width] or [height, width, channels]
with channels 1 (grey), 3 (RGB) or 4 (RGBA)."""

# For an image that is the caller's own and that the server has taken, and for what came of it.
ANY_SIZE = Limits(max_bytes=2**31, max_pixels=2**31)

# What fits into a protobuf message, with room for what travels along.
_LARGEST = 2**31 - 2**20


def image_message(image: ImageLike) -> Image:
    """The image as it is sent.

    Raises ImageError where the file cannot be read or the pixels are not uint8, LimitExceeded above 2 GB,
    and TypeError for what is no image at all. Whether a file holds an image is for the server to say.
    """
    match image:
        case bytes() | bytearray() | memoryview():
            _check_size(len(image))
            return Image(encoded=bytes(image))
        case str() | PathLike():
            return Image(encoded=read_image(image))
        case PillowImage.Image():
            return _raw(np.asarray(_upright(image)))
        case np.ndarray():
            return _raw(image)
    raise TypeError(f"{type(image).__name__} is no image: a path, bytes, a Pillow image or a uint8 array")


def sent_image(image: Image) -> bytes | NDArray[np.uint8]:
    """What `image_message` made of an image: a file, or upright uint8 [height, width, channels]."""
    if image.WhichOneof("source") == "encoded":
        return image.encoded
    raw = image.raw
    return np.frombuffer(raw.data, np.uint8).reshape(raw.height, raw.width, raw.channels)


def upright_image(image: bytes | NDArray[np.uint8], width: int, height: int) -> PillowImage.Image:
    """What was sent, as the server sees it: upright, in RGB, of the size that it states.

    Raises InternalError where the image has another size: the reply is about another one.
    """
    whole = decode(image, ANY_SIZE)[0] if isinstance(image, bytes) else from_array(image, ANY_SIZE)
    if whole.size != (width, height):
        raise InternalError("the server's reply is about another image", reason="REPLY_INVALID")
    return whole


def read_image(path: str | PathLike[str]) -> bytes:
    """The whole file, whatever is in it.

    Raises ImageError where it cannot be read, and LimitExceeded where it is larger than any message.
    """
    try:
        with Path(path).open("rb") as file:
            _check_size(os.fstat(file.fileno()).st_size)
            # A pipe or a device shows no size, and may have no end.
            data = file.read(_LARGEST + 1)
    except (OSError, ValueError) as error:
        cause = error.strerror if isinstance(error, OSError) else str(error)
        message = f"the file cannot be read: {cause}"
        raise ImageError(message, reason="IMAGE_UNREADABLE", field="image") from error
    _check_size(len(data))
    return data


def _check_size(size: int) -> None:
    if size > _LARGEST:
        raise LimitExceeded(
            f"the image has more than {_LARGEST:,} bytes", reason="IMAGE_TOO_MANY_BYTES", field="image"
        )


def _upright(image: PillowImage.Image) -> PillowImage.Image:
    """In mode L or RGB. Raises ImageError where the pixels cannot be had."""
    try:
        turned = upright(image)
    # A Pillow image decodes its file only now, and a decoder that stumbles raises anything.
    except Exception as error:
        raise ImageError(f"the {image.format} cannot be decoded", field="image") from error
    return to_mode(turned, grey=turned.mode == "L")


def _raw(pixels: NDArray[np.uint8]) -> Image:
    if pixels.dtype != np.uint8 or pixels.ndim not in (2, 3):
        raise ImageError(
            f"an array of {pixels.dtype} {list(pixels.shape)} is no image: uint8 [height, width, channels]",
            reason="IMAGE_SHAPE",
            field="image.raw",
        )
    _check_size(pixels.nbytes)
    height, width, *channels = pixels.shape
    raw = RawImage(height=height, width=width, channels=channels[0] if channels else 1)
    raw.data = np.ascontiguousarray(pixels).tobytes()
    return Image(raw=raw)
