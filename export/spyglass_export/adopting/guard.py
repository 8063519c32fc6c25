"""Errors for networks that break an assumption of this package."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import onnx

from spyglass_contract.errors import ModelError, SpyglassError


@contextmanager
def unreadable_networks() -> Iterator[None]:
    """Raise ModelError for any exception that an invalid or unusual network causes."""
    try:
        yield
    except (SpyglassError, OSError):
        raise
    # The network comes from anywhere: numpy, protobuf and onnx each raise their own exceptions.
    except Exception as error:
        told = " ".join([f"{type(error).__name__}:", *str(error).split()])[:200]
        raise ModelError(f"cannot read the network ({told}); is the file damaged?") from error


def check_valid(model: onnx.ModelProto) -> None:
    """Raise ModelError if a graph is not valid ONNX."""
    try:
        onnx.checker.check_model(model)
    except onnx.checker.ValidationError as error:
        raise ModelError(f"the network is not valid ONNX: {first_line(error)}") from error


def first_line(error: Exception) -> str:
    """Return the first line of an exception's text."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
