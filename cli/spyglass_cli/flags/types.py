"""Types of flag values, for the `type` argument of argparse.

Each takes the text of the flag and returns the value. Each raises ArgumentTypeError, with what was expected
and what came, if the text is not allowed.
"""

from __future__ import annotations

import argparse
import math
import re
import shlex
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import TypeVar

from spyglass_client import InvalidInput, parse_addresses

_Number = TypeVar("_Number", int, float)

# numpy, scikit-learn and Keras all accept seeds up to this one.
_LARGEST_SEED = 2**32 - 1

_UNIT_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def positive_integer(text: str) -> int:
    """Return a whole number >= 1."""
    return _number(text, int, lambda number: number >= 1, "a whole number, 1 or more")


def non_negative_integer(text: str) -> int:
    """Return a whole number >= 0."""
    return _number(text, int, lambda number: number >= 0, "a whole number, 0 or more")


def seed(text: str) -> int:
    """Return a seed of random numbers, from 0 to 2³² - 1."""
    expected = f"a whole number from 0 to {_LARGEST_SEED}"
    return _number(text, int, lambda number: 0 <= number <= _LARGEST_SEED, expected)


def positive_number(text: str) -> float:
    """Return a finite number > 0."""
    return _number(text, float, lambda number: 0 < number < math.inf, "a positive number")


def non_negative_number(text: str) -> float:
    """Return a finite number >= 0."""
    return _number(text, float, lambda number: 0 <= number < math.inf, "a number, 0 or more")


def positive_seconds(text: str) -> float:
    """Return a number of seconds > 0; infinity means no limit."""
    return _number(text, float, lambda number: number > 0, "a positive number of seconds")


def non_negative_seconds(text: str) -> float:
    """Return a finite number of seconds >= 0."""
    return _number(text, float, lambda number: 0 <= number < math.inf, "a number of seconds, 0 or more")


def duration(text: str) -> float:
    """Return the seconds of a time such as 90d, 12h, 30m or 45s; more than 0."""
    match = re.fullmatch(r"(\d{1,9})([smhd])", text)
    if match is None or not int(match[1]):
        raise _rejected(text, "a time such as 90d, 12h, 30m or 45s")
    return int(match[1]) * _UNIT_SECONDS[match[2]]


def fraction_below_one(text: str) -> float:
    """Return a number in [0, 1)."""
    return _number(text, float, lambda number: 0 <= number < 1, "0 or more and below 1")


def fraction_inside_zero_and_one(text: str) -> float:
    """Return a number in (0, 1)."""
    return _number(text, float, lambda number: 0 < number < 1, "above 0 and below 1")


def fraction_up_to_one(text: str) -> float:
    """Return a number in (0, 1]."""
    return _number(text, float, lambda number: 0 < number <= 1, "above 0 and at most 1")


def percent(text: str) -> float:
    """Return a number in [0, 100] of a text such as 10 or 10%."""
    return _number(text.removesuffix("%"), float, lambda number: 0 <= number <= 100, "from 0 to 100")


def version_or_label(text: str) -> int | str:
    """Return the number of a version, or a label, which is never a number."""
    return int(text) if re.fullmatch("[0-9]{1,18}", text) else text


def number_or_quotient(text: str) -> float:
    """Return the value of a finite number such as 0.5, or of a quotient such as 1/255."""
    expected = "a number such as 0.5 or a quotient such as 1/255"
    return _number(text, lambda text: float(Fraction(text)), math.isfinite, expected)


def image_size(text: str) -> tuple[int, int]:
    """Return (height, width) in pixels, each from 1 to 9999, of N or HEIGHTxWIDTH."""
    match = re.fullmatch(r"([1-9]\d{0,3})(?:x([1-9]\d{0,3}))?", text)
    if match is None:
        raise _rejected(text, "a number of pixels such as 224, or HEIGHTxWIDTH such as 224x160")
    return int(match[1]), int(match[2] or match[1])


def server_address(text: str) -> str:
    """Return one or more addresses of servers, such as HOST:PORT, separated by commas."""
    try:
        parse_addresses(text)
    except InvalidInput as error:
        raise argparse.ArgumentTypeError(error.message) from error
    return text


def output_folder(text: str) -> Path:
    """Return the path of a folder; nothing may exist there yet."""
    path = Path(text)
    if path.exists() and not path.is_dir():
        raise argparse.ArgumentTypeError(f"must be a folder, but {text} is a file")
    return path


def image_file(text: str) -> Path:
    """Return the path of a file that exists."""
    path = Path(text)
    if path.is_dir():
        raise argparse.ArgumentTypeError(f"must be an image file, but {text} is a folder")
    if not path.is_file():
        raise argparse.ArgumentTypeError(f"must be an image file, but there is no file {text}")
    return path


def output_png(text: str) -> Path:
    """Return the path of a PNG file to write; its folder may not exist yet."""
    path = Path(text)
    if path.suffix.lower() != ".png":
        raise _rejected(text, "a file name that ends in .png")
    if path.is_dir():
        raise argparse.ArgumentTypeError(f"must be a file, but {text} is a folder")
    output_folder(str(path.parent))
    return path


def _number(
    text: str, parse: Callable[[str], _Number], is_allowed: Callable[[_Number], bool], expected: str
) -> _Number:
    try:
        number = parse(text)
    except (ValueError, ArithmeticError) as error:
        raise _rejected(text, expected) from error
    if not is_allowed(number):
        raise _rejected(text, expected)
    return number


def _rejected(text: str, expected: str) -> argparse.ArgumentTypeError:
    return argparse.ArgumentTypeError(f"must be {expected}, not {shlex.quote(text)}")
