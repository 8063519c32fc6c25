"""What a repository of models must offer, wherever it lies."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

MODEL_FILE = "model.onnx"
ROUTING_FILE = "routing.json"
MAX_ROUTING_BYTES = 64 * 1024
PASSING_REASONS = frozenset(("STORE_UNREACHABLE", "DOWNLOAD_INCOMPLETE", "CACHE_FULL", "CACHE_UNUSABLE"))
"""The reasons of errors after which files are fetched again, though they have not changed."""


@dataclass(frozen=True)
class Stored:
    """One version of a model in a store. Its stamp changes when any of its files does."""

    name: str
    version: int
    stamp: str


class Store(Protocol):
    """A place with NAME/VERSION/model.onnx, and NAME/routing.json; safe to use from any thread.

    Every method raises ModelError if the place cannot be read or written.
    """

    @property
    def title(self) -> str:
        """The place as a text for logs, without credentials."""

    def versions(self) -> list[Stored]:
        """Return every version of every model, by name and version."""

    def fetch(self, stored: Stored) -> Path:
        """Return the path of NAME/VERSION/model.onnx on this machine, with the files that belong to it.

        They stay there until `release` gets the path.
        """

    def release(self, path: Path) -> None:
        """Take back one `fetch` that returned this path."""

    def close(self) -> None:
        """Let calls in progress end soon, with an error if need be: the server ends."""

    def read(self, name: str) -> bytes | None:
        """Return NAME/routing.json, at most MAX_ROUTING_BYTES + 1 bytes of it; None: there is none."""

    def write(self, name: str, data: bytes) -> None:
        """Write NAME/routing.json in one step. Raises ModelError(STORE_READ_ONLY) if that is not allowed."""

    def changing(self, name: str) -> AbstractContextManager[object]:
        """Keep others from changing NAME/routing.json during a block, if they use this, too."""
