"""The limit of every server: decode, resize and inference in the caller's thread, and no server."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache

from competitors.classifier import Classifier


@dataclass(frozen=True)
class InProcessTarget:
    """Classifies the same image with the model file `path` in the client process."""

    path: str
    image: bytes
    # In as many processes of one thread as there are cores, instead of as many threads of one process.
    processes: bool

    @contextmanager
    def connect(self, callers: int) -> Iterator[list[Callable[[], bytes]]]:
        """See `measuring.targets.Target`."""
        classifier = _loaded(self.path)

        def call() -> bytes:
            return json.dumps({"classes": classifier.classify([self.image])[0]}).encode()

        yield [call] * callers


@cache
def _loaded(path: str) -> Classifier:
    return Classifier(path)
