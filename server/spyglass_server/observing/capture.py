"""Some requests, written to a folder for people who label images; only if the operator asks for it."""

from __future__ import annotations

import io
import json
import logging
import os
import random
import tempfile
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from queue import SimpleQueue
from threading import Lock, Thread
from typing import cast

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from PIL import Image

from spyglass.v1.classify_pb2 import ClassifyResponse
from spyglass_contract.errors import SpyglassError
from spyglass_contract.images.message import ImageData
from spyglass_server.engine.classes import DEFAULT_TOP_K, best_classes
from spyglass_server.engine.observation import Observation

_log = logging.getLogger(__name__)

# Requests that wait for the disk, and the bytes of their images; further ones are not captured.
_WAITING, _WAITING_BYTES = 32, 64 * 1024 * 1024
_STOP_SECONDS = 5.0
_PACKAGE = "spyglass.v1"
_SUFFIXES = {
    "JPEG": ".jpg",
    "PNG": ".png",
    "WEBP": ".webp",
    "BMP": ".bmp",
    "GIF": ".gif",
    "TIFF": ".tif",
    "RAW": ".png",
}


class CaptureError(SpyglassError):
    """The folder of captured requests cannot be used."""

    default_reason = "CAPTURE_FOLDER"


@dataclass(frozen=True)
class CaptureOptions:
    """Where captured requests go.

    `sample` is the part of the answered requests that is captured, above 0 and up to 1. Capturing stops when
    the files in `folder` have `max_bytes`, those of earlier runs included: nothing is deleted. If several
    `processes` capture, each may write an equal part of what is left at its start.
    """

    folder: Path
    sample: float
    max_bytes: int
    processes: int = 1


@dataclass(frozen=True)
class _Captured:
    image: ImageData
    image_bytes: int
    image_format: str
    response: Message
    method: str
    request_id: str
    model: str
    version: int
    time: float


class Capture:
    """An observer that gives requests to a thread, which writes them; a full disk disturbs no request."""

    def __init__(self, options: CaptureOptions, chance: Callable[[], float] = random.random) -> None:
        """Raises CaptureError if the folder cannot be made, read or written."""
        self._options = options
        self._chance = chance
        self._queue: SimpleQueue[_Captured | None] = SimpleQueue()
        self._lock = Lock()
        self._waiting_bytes = 0
        try:
            _make_folder(options.folder)
            # A folder that cannot be written to is found now, not at the first request.
            with tempfile.TemporaryFile(dir=options.folder):
                pass
            self._bytes = sum(path.stat().st_size for path in options.folder.rglob("*") if path.is_file())
        except OSError as error:
            raise CaptureError(
                f"{options.folder}: {error.strerror}; expected a folder that the server may write to"
            ) from error
        left = max(0, options.max_bytes - self._bytes)
        # The bytes that this process knows of when it stops.
        self._most = self._bytes + left // options.processes
        self._failed = False
        self.written = 0
        self.left_out = 0
        """Requests of the sample that were not written: the disk was slow, full, or not writable."""
        _log.warning(
            "requests are stored: %g of all, with their images, in %s, up to %d bytes",
            options.sample,
            options.folder,
            options.max_bytes,
        )
        self._thread = Thread(target=self._write_all, name="capture", daemon=True)
        self._thread.start()

    def __call__(self, observation: Observation) -> None:
        """Capture an answered request, or do not."""
        if observation.code != "OK" or observation.inferred is None or observation.model is None:
            return
        if self._options.sample < 1 and self._chance() >= self._options.sample:
            return
        image = observation.image
        if image is None:
            return
        size = len(image) if isinstance(image, bytes) else image.nbytes
        if self._is_full or not self._takes(size):
            self.left_out += 1
            return
        card = observation.model.card
        self._queue.put(
            _Captured(
                # Pixels are a view of their whole request.
                image if isinstance(image, bytes) else image.copy(),
                size,
                observation.image_format,
                _response(observation),
                observation.method.rpartition("/")[2],
                observation.request_id,
                card.name,
                card.version,
                time.time(),
            )
        )

    def stop(self) -> None:
        """Write what waits, for a few seconds at most, and end."""
        self._queue.put(None)
        self._thread.join(_STOP_SECONDS)

    def _takes(self, size: int) -> bool:
        """Hold `size` bytes, unless too many wait; one request is always taken."""
        with self._lock:
            waits = self._queue.qsize() >= _WAITING or self._waiting_bytes + size > _WAITING_BYTES
            if waits and self._waiting_bytes:
                return False
            self._waiting_bytes += size
            return True

    @property
    def _is_full(self) -> bool:
        return self._bytes >= self._most

    def _write_all(self) -> None:
        while captured := self._queue.get():
            try:
                self._write(captured)
                self._failed = False
            except Exception as error:
                self.left_out += 1
                # Once, until a request could be written again.
                if not self._failed:
                    _log.error("a request could not be stored: %s", error)
                self._failed = True
            with self._lock:
                self._waiting_bytes -= captured.image_bytes

    def _write(self, captured: _Captured) -> None:
        image, text = _image_file(captured), _description(captured)
        size = len(image) + len(text)
        if self._bytes + size > self._most:
            self.left_out += 1
            if not self._is_full:
                _log.warning("no more requests are stored: the folder has %d bytes", self._bytes)
                self._bytes = self._most
            return
        day = datetime.fromtimestamp(captured.time, UTC).strftime("%Y-%m-%d")
        folder = self._options.folder / captured.model / str(captured.version) / day
        _make_folder(folder)
        # No part of the name comes from the caller.
        name = uuid.uuid4().hex
        _write_file(folder / f"{name}{_SUFFIXES[captured.image_format]}", image)
        _write_file(folder / f"{name}.json", text)
        self._bytes += size
        self.written += 1


def _image_file(captured: _Captured) -> bytes:
    """Return the file as it came, or pixels as a PNG."""
    data = captured.image
    if isinstance(data, bytes):
        return data
    buffer = io.BytesIO()
    Image.fromarray(data[:, :, 0] if data.shape[2] == 1 else data).save(buffer, "PNG")
    return buffer.getvalue()


def _response(observation: Observation) -> Message:
    """Return the response; of a request with tensors, what a response without them would say."""
    response = observation.response
    if response is not None and response.DESCRIPTOR.file.package == _PACKAGE:
        return cast(Message, response)
    made = ClassifyResponse(served_by=observation.served_by, timing=observation.timing)
    if observation.inferred and observation.model:
        output = observation.inferred.output
        probabilities = getattr(output, "probabilities", output)
        if probabilities.ndim == 1:
            made.classes.extend(best_classes(probabilities, observation.model.class_names, DEFAULT_TOP_K))
    return made


def _description(captured: _Captured) -> bytes:
    fields = {
        "request_id": captured.request_id,
        "time": datetime.fromtimestamp(captured.time, UTC).isoformat(timespec="milliseconds"),
        "method": captured.method,
        "model": captured.model,
        "version": captured.version,
        "response": MessageToDict(captured.response, preserving_proto_field_name=True),
    }
    return (json.dumps(fields, indent=1) + "\n").encode()


def _make_folder(folder: Path) -> None:
    for each in (*reversed(folder.parents), folder):
        if not each.exists():
            each.mkdir(mode=0o700, exist_ok=True)


def _write_file(path: Path, data: bytes) -> None:
    """Write a file that only the server's user reads; a reader finds all of it or nothing."""
    hidden = path.with_name(f".{path.name}")
    with open(hidden, "wb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        file.write(data)
    os.replace(hidden, path)
