"""What the value of a flag must be: one type for all flags of a kind, whatever the command."""

from __future__ import annotations

import argparse
import math
import re
from pathlib import Path

# What numpy, scikit-learn and Keras all take.
_LARGEST_SEED = 2**32 - 1


def count(text: str) -> int:
    """A whole number, 1 or more."""
    return _at_least(1, text)


def count_or_none(text: str) -> int:
    """A whole number, 0 or more."""
    return _at_least(0, text)


def seed(text: str) -> int:
    """Of random numbers: a whole number from 0 to 2³² - 1."""
    number = int(text)
    if not 0 <= number <= _LARGEST_SEED:
        raise argparse.ArgumentTypeError(f"must be from 0 to {_LARGEST_SEED}")
    return number


def positive(text: str) -> float:
    """A finite number above 0."""
    number = float(text)
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError("must be a number above 0")
    return number


def positive_or_none(text: str) -> float:
    """A finite number, 0 or more."""
    number = float(text)
    if not 0 <= number < math.inf:
        raise argparse.ArgumentTypeError("must be a number, 0 or more")
    return number


def share(text: str) -> float:
    """A number from 0 to below 1."""
    number = float(text)
    if not 0 <= number < 1:
        raise argparse.ArgumentTypeError("must be 0 or more and below 1")
    return number


def part(text: str) -> float:
    """A number above 0 and below 1."""
    number = float(text)
    if not 0 < number < 1:
        raise argparse.ArgumentTypeError("must be above 0 and below 1")
    return number


def size(text: str) -> tuple[int, int]:
    """(height, width) in pixels, of N or HEIGHTxWIDTH."""
    match = re.fullmatch(r"([1-9]\d{0,3})(?:x([1-9]\d{0,3}))?", text)
    if match is None:
        raise argparse.ArgumentTypeError("must be a number of pixels, or HEIGHTxWIDTH")
    return int(match[1]), int(match[2] or match[1])


def folder_to_fill(text: str) -> Path:
    """A folder, or nothing yet."""
    path = Path(text)
    if path.exists() and not path.is_dir():
        raise argparse.ArgumentTypeError(f"{text} is a file, not a folder")
    return path


def image(text: str) -> Path:
    """A file that is there."""
    path = Path(text)
    if not path.is_file():
        raise argparse.ArgumentTypeError(
            f"{text} is a folder, not an image" if path.is_dir() else f"there is no image {text}"
        )
    return path


def drawing(text: str) -> Path:
    """A PNG to write, in a folder that is there or can be made."""
    path = Path(text)
    if path.suffix.lower() != ".png":
        raise argparse.ArgumentTypeError(f"{text} must end in .png: that is what is written")
    if path.is_dir():
        raise argparse.ArgumentTypeError(f"{text} is a folder")
    folder_to_fill(str(path.parent))
    return path


def _at_least(least: int, text: str) -> int:
    number = int(text)
    if number < least:
        raise argparse.ArgumentTypeError(f"must be {least} or more")
    return number
