"""Types of flag values: what they accept, and the errors for the rest."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from pathlib import Path

import pytest

from spyglass_cli.flags import types


@pytest.mark.parametrize(
    ("type_", "text", "value"),
    [
        (types.positive_integer, "1", 1),
        (types.non_negative_integer, "0", 0),
        (types.seed, "4294967295", 2**32 - 1),
        (types.positive_number, "1e-5", 1e-5),
        (types.non_negative_number, "0", 0.0),
        (types.positive_seconds, "0.5", 0.5),
        (types.non_negative_seconds, "0", 0.0),
        (types.fraction_below_one, "0", 0.0),
        (types.fraction_inside_zero_and_one, "0.5", 0.5),
        (types.fraction_up_to_one, "1", 1.0),
        (types.number_or_quotient, "1/255", 1 / 255),
        (types.number_or_quotient, "-0.5", -0.5),
        (types.image_size, "224", (224, 224)),
        (types.image_size, "224x160", (224, 160)),
        (types.server_address, "[::1]:50051", "[::1]:50051"),
        (types.server_address, "http://a:1, unix:/b", "http://a:1, unix:/b"),
    ],
)
def test_a_value_in_range_is_accepted(type_: Callable[[str], object], text: str, value: object) -> None:
    assert type_(text) == value


@pytest.mark.parametrize(
    ("type_", "text", "message"),
    [
        (types.positive_integer, "0", "must be a whole number, 1 or more, not 0"),
        (types.positive_integer, "many", "must be a whole number, 1 or more, not many"),
        (types.positive_integer, "1.5", "must be a whole number, 1 or more, not 1.5"),
        (types.non_negative_integer, "-1", "must be a whole number, 0 or more, not -1"),
        (types.seed, "4294967296", "must be a whole number from 0 to 4294967295, not 4294967296"),
        (types.positive_number, "inf", "must be a positive number, not inf"),
        (types.positive_number, "0", "must be a positive number, not 0"),
        (types.non_negative_number, "nan", "must be a number, 0 or more, not nan"),
        (types.positive_seconds, "-3", "must be a positive number of seconds, not -3"),
        (types.positive_seconds, "", "must be a positive number of seconds, not ''"),
        (types.non_negative_seconds, "-3", "must be a number of seconds, 0 or more, not -3"),
        (types.fraction_below_one, "1", "must be 0 or more and below 1, not 1"),
        (types.fraction_inside_zero_and_one, "0", "must be above 0 and below 1, not 0"),
        (types.fraction_up_to_one, "1.5", "must be above 0 and at most 1, not 1.5"),
        (types.number_or_quotient, "1/0", "or a quotient such as 1/255, not 1/0"),
        (types.number_or_quotient, "1e999", "or a quotient such as 1/255, not 1e999"),
        (types.image_size, "6x8x3", "or HEIGHTxWIDTH such as 224x160, not 6x8x3"),
        (types.image_size, "0", "must be a number of pixels such as 224"),
        (types.server_address, "ftp://nowhere", "the scheme ftp:// is unknown"),
        (types.server_address, "somewhere:port", "the port must be a number from 1 to 65535"),
    ],
)
def test_an_error_has_the_expected_and_the_given_value(
    type_: Callable[[str], object], text: str, message: str
) -> None:
    with pytest.raises(argparse.ArgumentTypeError) as caught:
        type_(text)
    assert message in str(caught.value)


def test_a_number_is_never_nan() -> None:
    for type_ in (types.positive_number, types.fraction_below_one, types.fraction_up_to_one):
        with pytest.raises(argparse.ArgumentTypeError):
            type_(str(math.nan))


def test_paths_are_checked_before_a_command_starts(tmp_path: Path) -> None:
    file, missing = tmp_path / "image.png", tmp_path / "missing.png"
    file.touch()
    assert types.image_file(str(file)) == file
    assert types.output_png(str(missing)) == missing
    assert types.output_folder(str(tmp_path)) == tmp_path
    for type_, path, message in (
        (types.image_file, missing, "there is no file"),
        (types.image_file, tmp_path, "is a folder"),
        (types.output_folder, file, "is a file"),
        (types.output_png, tmp_path / "sheet.jpg", "must be a file name that ends in .png, not"),
        (types.output_png, file / "sheet.png", "is a file"),
    ):
        with pytest.raises(argparse.ArgumentTypeError, match=message):
            type_(str(path))
