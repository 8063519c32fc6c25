"""Elements of BYTES tensors in the protocol's raw form."""

from __future__ import annotations

import pytest

from spyglass_contract.errors import InvalidInput
from spyglass_server.open_inference.byte_strings import join_strings, split_strings


@pytest.mark.parametrize("elements", [[], [b""], [b"a"], [b"one", b"", b"\0" * 300]])
def test_elements_survive_the_raw_form(elements: list[bytes]) -> None:
    assert split_strings(join_strings(elements), len(elements)) == elements


def test_the_length_is_little_endian() -> None:
    assert join_strings([b"ab"]) == b"\x02\0\0\0ab"


@pytest.mark.parametrize(
    ("raw", "count", "problem"),
    [
        (b"", 1, "the contents have 0"),
        (b"\x01\0\0\0a", 2, "the contents have 1"),
        (b"\x01\0\0\0ab", 1, "1 bytes more"),
        (b"\x01\0\0\0a\x01", 2, "1 bytes are left for the length of element 1"),
        (b"\xff\xff\xff\xffa", 1, "element 0 should have 4,294,967,295 bytes, and 1 are left"),
    ],
)
def test_other_contents_are_refused(raw: bytes, count: int, problem: str) -> None:
    with pytest.raises(InvalidInput, match=problem):
        split_strings(raw, count)
