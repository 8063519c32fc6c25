"""The colour modes and resamplings of an `InputSpec`; a value without an entry here is an error."""

from __future__ import annotations

from collections.abc import Iterable

from google.protobuf.message import Message
from PIL import Image

from spyglass.v1.model_pb2 import (
    COLOR_MODE_GREY,
    COLOR_MODE_RGB,
    RESAMPLING_BICUBIC,
    RESAMPLING_BILINEAR,
    RESAMPLING_UNSPECIFIED,
    ColorMode,
    InputSpec,
    Resampling,
)
from spyglass_contract.errors import CardError

CHANNELS: dict[ColorMode.ValueType, int] = {COLOR_MODE_RGB: 3, COLOR_MODE_GREY: 1}

KERNELS: dict[Resampling.ValueType, Image.Resampling] = {
    # Cards of early versions do not state the resampling, which was bilinear.
    RESAMPLING_UNSPECIFIED: Image.Resampling.BILINEAR,
    RESAMPLING_BILINEAR: Image.Resampling.BILINEAR,
    RESAMPLING_BICUBIC: Image.Resampling.BICUBIC,
}


def channels(spec: InputSpec) -> int:
    """Return how many channels the input has: 1 (grey) or 3 (RGB). Raises CardError for another mode."""
    if spec.color_mode not in CHANNELS:
        raise unknown_value(spec, "color_mode", CHANNELS)
    return CHANNELS[spec.color_mode]


def is_grey(spec: InputSpec) -> bool:
    """Return whether the input is grey. Raises CardError for an unknown colour mode."""
    return channels(spec) == 1


def kernel(spec: InputSpec) -> Image.Resampling:
    """Return Pillow's kernel of the resampling. Raises CardError for an unknown one."""
    check_resampling(spec)
    return KERNELS[spec.resampling]


def check_resampling(spec: InputSpec) -> None:
    """Raise CardError for an unknown resampling."""
    if spec.resampling not in KERNELS:
        stated = [value for value in KERNELS if value != RESAMPLING_UNSPECIFIED]
        raise unknown_value(spec, "resampling", stated)


def unknown_value(message: Message, field: str, known: Iterable[int]) -> CardError:
    """Return the error for an enum field of a card whose value is not one of the `known` ones."""
    enum = message.DESCRIPTOR.fields_by_name[field].enum_type
    assert enum is not None
    names = enum.values_by_number
    value = getattr(message, field)
    found = names[value].name if value in names else str(value)
    expected = " or ".join(names[number].name for number in known)
    return CardError(f"the card's {field} must be {expected}, not {found}")
