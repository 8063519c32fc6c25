"""What the value of a flag must be."""

from __future__ import annotations

import argparse


def count(text: str) -> int:
    """A whole number, 1 or more."""
    return _at_least(1, text)


def count_or_none(text: str) -> int:
    """A whole number, 0 or more."""
    return _at_least(0, text)


def _at_least(least: int, text: str) -> int:
    number = int(text)
    if number < least:
        raise argparse.ArgumentTypeError(f"must be {least} or more")
    return number
