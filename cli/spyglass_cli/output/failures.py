"""The failures of images as lines for people: an error that is not about one image has one line."""

from __future__ import annotations

from spyglass_client import SpyglassError
from spyglass_contract.errors import (
    ImageError,
    InvalidInput,
    LimitExceeded,
    NotFound,
    PermissionDenied,
    Unauthenticated,
    Unavailable,
    Unimplemented,
)

# Errors about the server, the model or the request; images may share them.
_SHARED = (InvalidInput, NotFound, PermissionDenied, Unauthenticated, Unavailable, Unimplemented)
# Errors about one image, whose name a person needs.
_OF_IMAGE = (ImageError, LimitExceeded)


class Failures:
    """Collects failures; equal errors that are not about one image are counted."""

    def __init__(self) -> None:
        self._failures: list[tuple[str, SpyglassError]] = []

    def add(self, path: str, error: SpyglassError) -> None:
        """Add the failure of one image."""
        self._failures.append((path, error))

    def lines(self, *, all_failed: bool = False) -> list[str]:
        """Return one line for each error, in the order of the first image of each.

        `all_failed`: no image has a result, so that an error such as a missed deadline is about the server.
        """
        paths: dict[tuple[str, str], list[str]] = {}
        for path, error in self._failures:
            is_shared = (all_failed or isinstance(error, _SHARED)) and not isinstance(error, _OF_IMAGE)
            paths.setdefault((error.message, "" if is_shared else path), []).append(path)
        return [f"{_named(named)}: {message}" for (message, _), named in paths.items()]


def _named(paths: list[str]) -> str:
    first, *others = paths
    if not others:
        return first
    return f"{first} and {len(others):,} more image{'s' if len(others) > 1 else ''}"
