"""Loading one file, with every error as one that says which version failed, and why."""

from __future__ import annotations

import logging
import time
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from spyglass_contract.errors import CardError, ModelError
from spyglass_contract.model.card import PREDICTED, SCORE_CAM
from spyglass_contract.model.certificate import golden_tensor
from spyglass_server.engine.capacity.memory import free_memory
from spyglass_server.engine.capacity.priority import switching_often
from spyglass_server.engine.models.model import Model

if TYPE_CHECKING:
    # The catalog reads files with pydantic, which a client in this process does not need.
    from spyglass_server.engine.models.lifecycle.catalog import Found

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


def warm_up(model: Model) -> None:
    """Run what the certificate does not: the first heatmap of a session takes several times as long."""
    pixels = golden_tensor(0, model.card.input)
    model.network.run(pixels)
    if not model.card.explained_layer:
        return
    if model.card.heatmap_method == SCORE_CAM:
        model.network.features(pixels)
    else:
        model.network.explain(pixels, [PREDICTED])


class Loader:
    """Loads what stores hold."""

    def __init__(self, open_model: OpenModel, prepare: Callable[[Model], object]) -> None:
        """`prepare` gets each model that is loaded beside others, before it serves."""
        self._open_model = open_model
        self._prepare = prepare
        self.is_closed = False

    def load(self, found: Found, *, beside_others: bool) -> Model:
        """Return the model of a version. Raises ModelError, and what its files raise; see `load_error`."""
        if self.is_closed:
            stored = found.stored
            raise ModelError(f"{stored.name}/{stored.version}: the server ends", reason="SERVER_ENDS")
        path = found.fetch()
        try:
            if not beside_others:
                model = load_model(path, self._open_model)
            else:
                check_memory(path)
                with switching_often():
                    model = load_model(path, self._open_model)
                    warm_up(model)
        except BaseException:
            found.release(path)
            raise
        # Whoever keeps the model may read its files again.
        weakref.finalize(model, found.release, path).atexit = False
        if beside_others:
            self._prepare(model)
        return model

    def close(self) -> None:
        """Load nothing any more."""
        self.is_closed = True


def load_error(error: Exception, found: Found) -> ModelError:
    """Return what operators read about a load that failed. An unexpected cause goes to the log."""
    stored = found.stored
    if isinstance(error, ModelError):
        return type(error)(error.message, reason=error.reason)
    if isinstance(error, OSError):
        # Often a version that is deleted while it is loaded. The text has no path: others read it, too.
        cause = error.strerror or type(error).__name__
        return ModelError(
            f"{stored.name}/{stored.version}: its files cannot be read: {cause}", reason="FILE_UNREADABLE"
        )
    _log.error("%s/%d could not be loaded", stored.name, stored.version, exc_info=error)
    return ModelError(
        f"{stored.name}/{stored.version}: it could not be loaded; the server's log has the cause",
        reason="LOAD_FAILED",
    )
