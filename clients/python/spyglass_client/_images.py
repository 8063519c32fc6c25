"""The images that a caller passes, as messages.

A file is sent as it is. A Pillow image is turned upright and converted to grey or RGB here, by the server's
rules for files, and is sent as raw pixels, like an array: nothing is lost, and no time goes into compression.
If bytes on the network matter, send the file.
"""

from __future__ import annotations

import os
from os import PathLike
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage

from spyglass.v1.image_pb2 import Image, RawImage
from spyglass_client._open_files import BinaryFile, read_open_file
from spyglass_contract.errors import ImageError, InternalError, LimitExceeded
from spyglass_contract.images.decode import decode, from_array, to_mode
from spyglass_contract.images.header import Limits
from spyglass_contract.images.message import ImageData
from spyglass_contract.images.orientation import upright

ImageLike = (
    str | PathLike[str] | bytes | bytearray | memoryview | BinaryFile | PillowImage.Image | NDArray[np.uint8]
)
"""The path of a file, a whole file, an open binary file, a Pillow image, or uint8 [height, width] or
[height, width, channels] with channels 1 (grey), 3 (RGB) or 4 (RGBA)."""

# For images that the server has already accepted, and for images in its responses.
ANY_SIZE = Limits(max_bytes=2**31, max_pixels=2**31)

# The largest file that fits into a protobuf message beside the other fields.
_LARGEST = 2**31 - 2**20


def image_message(image: ImageLike) -> Image:
    """Return the message for an image. The server, not this function, checks that a file is an image.

    Raises ImageError if the file cannot be read or the pixels are not uint8, LimitExceeded above 2 GB, and
    TypeError for an object of another type.
    """
    match image:
        case bytes() | bytearray() | memoryview():
            data = bytes(image)
            _check_size(len(data))
            return Image(encoded=data)
        case str() | PathLike():
            return Image(encoded=read_image(image))
        case PillowImage.Image():
            return _raw(np.asarray(_upright(image)))
        case np.ndarray():
            return _raw(image)
        case BinaryFile():
            data = read_open_file(image, _LARGEST)
            _check_size(len(data))
            return Image(encoded=data)
    raise TypeError(
        "an image must be a path, bytes, an open binary file, a Pillow image or a uint8 array, not "
        f"{type(image).__name__}"
    )


def upright_image(image: ImageData, width: int, height: int) -> PillowImage.Image:
    """Return the image that was sent, upright, in RGB. `width` and `height` are those in the response.

    Raises InternalError if the image has another size: the response is about another image.
    """
    whole = decode(image, ANY_SIZE)[0] if isinstance(image, bytes) else from_array(image, ANY_SIZE)
    if whole.size != (width, height):
        raise InternalError("the response is about another image", reason="REPLY_INVALID")
    return whole


def read_image(path: str | PathLike[str]) -> bytes:
    """Return the bytes of a file, whatever it contains.

    Raises ImageError if it cannot be read, and LimitExceeded if it is larger than any message.
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
            f"the image has more than {_LARGEST:,} bytes, the limit of one message",
            reason="IMAGE_TOO_MANY_BYTES",
            field="image",
        )


def _upright(image: PillowImage.Image) -> PillowImage.Image:
    """Return the image in mode L or RGB. Raises ImageError if it cannot be decoded."""
    try:
        turned = upright(image)
    # Pillow decodes the file only now, and its decoders raise many types of errors.
    except Exception as error:
        raise ImageError(f"the {image.format} cannot be decoded", field="image") from error
    return to_mode(turned, grey=turned.mode == "L")


def _raw(pixels: NDArray[np.uint8]) -> Image:
    if pixels.dtype != np.uint8 or pixels.ndim not in (2, 3):
        raise ImageError(
            f"an array must be uint8 [height, width, channels], not {pixels.dtype} {list(pixels.shape)}",
            reason="IMAGE_SHAPE",
            field="image.raw",
        )
    _check_size(pixels.nbytes)
    height, width, *channels = pixels.shape
    raw = RawImage(height=height, width=width, channels=channels[0] if channels else 1)
    raw.data = np.ascontiguousarray(pixels).tobytes()
    return Image(raw=raw)
