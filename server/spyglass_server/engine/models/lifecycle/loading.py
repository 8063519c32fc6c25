"""Loading one file, with every error as one that says which version failed, and why."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path

from spyglass_contract.errors import CardError, ModelError
from spyglass_server.engine.capacity.memory import free_memory
from spyglass_server.engine.models.model import Model

_log = logging.getLogger(__name__)

OpenModel = Callable[[Path], Model]
"""Opens a file and replays its certificate. Raises ModelError."""


# While ONNX Runtime opens a file, it takes 3 to 5 times its bytes (measured with the bundled models).
_MEMORY_FACTOR = 3


def check_memory(path: Path, free: Callable[[], int | None] = free_memory) -> None:
    """Raise ModelError if the memory does not suffice to load NAME/VERSION/model.onnx beside what serves.

    Otherwise the system could end the server with all that serves.
    """
    size = sum(file.stat().st_size for file in path.parent.iterdir() if file.is_file())
    left = free()
    if left is not None and left < _MEMORY_FACTOR * size:
        raise ModelError(
            f"{path.parent.parent.name}/{path.parent.name}: the memory does not suffice to load it: it takes "
            f"about {_MEMORY_FACTOR * size:,} bytes, and {left:,} are free",
            reason="MEMORY_SHORT",
        )


def load_model(path: Path, open_model: OpenModel) -> Model:
    """Load NAME/VERSION/model.onnx.

    Raises ModelError, also if memory does not suffice, and CardError if the card has another name or version
    than the path.
    """
    name, version = path.parent.parent.name, path.parent.name
    started = time.monotonic()
    try:
        model = open_model(path)
    except ModelError as error:
        # Operators of other machines read the message, too: without the place of the files here.
        message = error.message.replace(f"{path.parents[2]}/", "")
        raise type(error)(f"{name}/{version}: {message}", reason=error.reason) from error
    except MemoryError as error:
        raise ModelError(
            f"{name}/{version}: the memory does not suffice to load it", reason="MEMORY_SHORT"
        ) from error
    card = model.card
    if (card.name, str(card.version)) != (name, version):
        raise CardError(f"{name}/{version}: the card in the file is of {card.name}/{card.version}")
    model.load_seconds = time.monotonic() - started
    _log.info("%s/%s loaded in %.2f s", name, version, model.load_seconds)
    return model
