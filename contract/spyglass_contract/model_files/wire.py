"""A reader of protobuf's wire format that copies nothing and has a bound.

A parser makes an object of each message, so a hostile file of some megabytes can take gigabytes. This reader
walks over the bytes, and steps over the values of tensors without reading them.
Source: https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

from collections.abc import Iterator

from spyglass_contract.errors import ModelError

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
_SIZES = {FIXED64: 8, FIXED32: 4}
# Bytes of the longest varint.
_LONGEST_VARINT = 10


class Wire:
    """The fields of the messages in `data`, at most `max_fields` of all messages together."""

    def __init__(self, data: bytes, max_fields: int) -> None:
        self.data = data
        self._max_fields = max_fields
        self._read = 0

    def fields(self, start: int, end: int) -> Iterator[tuple[int, int, int, int]]:
        """Yield (number, kind, first, second) of each field of the message in `data[start:end]`.

        The kind is one of protobuf's wire types. BYTES has its first byte and the byte after its last one,
        VARINT its value and 0. Raises ModelError for bytes that are no message, and past the limit.
        """
        data = self.data
        at = start
        while at < end:
            self._read += 1
            if self._read > self._max_fields:
                raise ModelError(
                    f"the file has more than {self._max_fields} fields of protobuf", reason="MODEL_TOO_LARGE"
                )
            # Nearly all tags and most lengths have one byte.
            tag = data[at]
            at += 1
            if tag & 0x80:
                tag, at = self._varint(at - 1, end)
            number, kind = tag >> 3, tag & 7
            if not number or tag >> 32:
                raise invalid(f"byte {at} has a field number that protobuf does not allow")
            if kind in (BYTES, VARINT):
                value, at = self._varint(at, end)
                if kind == VARINT:
                    yield number, VARINT, value, 0
                    continue
                if value > end - at:
                    raise invalid(f"byte {at} begins a field of {value} bytes, and {end - at} are left")
                yield number, BYTES, at, at + value
                at += value
            elif kind in _SIZES:
                at += _SIZES[kind]
                if at > end:
                    raise invalid(f"the file ends inside of a field, at byte {end}")
            else:
                raise invalid(f"byte {at} has the wire type {kind}, which ONNX does not use")

    def text(self, start: int, end: int) -> str:
        """Return a text of the file; bytes that are not UTF-8 are replaced."""
        return self.data[start:end].decode("utf-8", "replace")

    def _varint(self, at: int, end: int) -> tuple[int, int]:
        value = shift = 0
        for position in range(at, min(end, at + _LONGEST_VARINT)):
            byte = self.data[position]
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value, position + 1
            shift += 7
        raise invalid(f"the number at byte {at} does not end")


def invalid(problem: str) -> ModelError:
    """Return the error of a file that is not ONNX."""
    return ModelError(
        f"the file is no ONNX model, or it is damaged: {problem}; copy or export it again",
        reason="MODEL_INVALID",
    )
