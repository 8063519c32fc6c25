"""The table of the formats that are read."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from PIL import Image

from spyglass_contract.images.formats import FORMAT_TITLES, FORMATS, IMAGE_SUFFIXES, Format


@pytest.mark.parametrize("entry", FORMATS, ids=lambda entry: entry.title)
def test_exactly_one_entry_recognises_a_file_of_its_format(
    encode: Callable[..., bytes], entry: Format
) -> None:
    data = encode(Image.new("RGB", (4, 4)), entry.name)

    assert [other.name for other in FORMATS if other.first_bytes.match(data)] == [entry.name]


def test_pillow_writes_every_suffix_in_the_format_of_its_entry() -> None:
    registered = Image.registered_extensions()

    assert {suffix: registered[suffix] for suffix in IMAGE_SUFFIXES} == {
        suffix: entry.name for entry in FORMATS for suffix in entry.suffixes
    }


def test_the_rarer_suffixes_are_in_the_table() -> None:
    assert {".jfif", ".jpe", ".tif", ".tiff"} <= IMAGE_SUFFIXES


def test_messages_list_every_format() -> None:
    assert FORMAT_TITLES == "JPEG, PNG, WebP, BMP, GIF or TIFF"
