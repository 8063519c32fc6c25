"""What the supervisor tells a worker process when it starts it."""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from io import RawIOBase
from pathlib import Path
from typing import IO

from spyglass_server.settings import ServerSettings

_LENGTH_BYTES = 8


@dataclass(frozen=True)
class Task:
    """The number of a worker, 1 for the first, its settings, and the folder of the private sockets."""

    number: int
    settings: ServerSettings
    folder: Path

    @property
    def socket(self) -> Path:
        """The private socket of the worker."""
        return worker_socket(self.folder, self.number)

    def write(self, stream: IO[bytes]) -> None:
        """Write to a stream that further bytes may follow."""
        data = pickle.dumps(self)
        stream.write(len(data).to_bytes(_LENGTH_BYTES, "big") + data)
        stream.flush()

    @classmethod
    def read(cls, stream: IO[bytes] | RawIOBase) -> Task:
        """Return what `write` wrote. Raises EOFError if the other end has closed the stream."""
        length = int.from_bytes(_exactly(stream, _LENGTH_BYTES), "big")
        # From the process that started this one.
        task = pickle.loads(_exactly(stream, length))
        assert isinstance(task, cls)
        return task


def _exactly(stream: IO[bytes] | RawIOBase, length: int) -> bytes:
    data = b""
    while len(data) < length:
        part = stream.read(length - len(data))
        if not part:
            raise EOFError("the supervisor ended before it sent the task")
        data += part
    return data


def worker_socket(folder: Path, number: int) -> Path:
    """Return the private socket of a worker."""
    return folder / f"worker-{number}"


def supervisor_socket(folder: Path) -> Path:
    """Return the private socket of the supervisor."""
    return folder / "supervisor"
