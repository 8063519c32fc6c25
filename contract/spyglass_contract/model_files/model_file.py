"""A model file that was checked, and whose checked bytes are the ones that a runtime gets."""

from __future__ import annotations

import hashlib
import io
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from spyglass_contract.errors import ModelError
from spyglass_contract.model_files.external_data import FileState, external_files
from spyglass_contract.model_files.limits import FileLimits
from spyglass_contract.model_files.operators import check_operators
from spyglass_contract.model_files.outline import read_outline

# Checks one file that belongs to a model: its path and its content. Raises ModelError.
CheckContent = Callable[[Path, BinaryIO], None]


class ModelFile:
    """The file of a model. Make one with `check_file`.

    The file is read once for all checks and for the session. A file that is read again later must have the
    same SHA-256. External data is read by the runtime itself; it must be the same before and after.
    """

    def __init__(self, path: Path, content: bytes, external: dict[Path, FileState]) -> None:
        self.path = path
        self.sha256 = hashlib.sha256(content).hexdigest()
        self._external = external
        self._content: bytes | None = content
        self._size = len(content)

    @property
    def external(self) -> list[Path]:
        """The files of its tensors, besides itself."""
        return list(self._external)

    @property
    def external_folder(self) -> Path | None:
        """The folder in which a runtime looks for the files of tensors; None if there are none."""
        return self.path.parent.resolve() if self._external else None

    def content(self) -> bytes:
        """Return the bytes that were checked. Raises ModelError if the file was changed since."""
        if self._content is not None:
            return self._content
        try:
            content = read_regular(self.path, self._size)
        except ModelError as error:
            raise changed(self.path) from error
        if hashlib.sha256(content).hexdigest() != self.sha256:
            raise changed(self.path)
        return content

    def release(self) -> None:
        """Free the bytes; `content` reads them again."""
        self._content = None

    def check_external(self) -> None:
        """Raise ModelError if a file of tensors was written or replaced since it was checked."""
        for path, state in self._external.items():
            try:
                now = FileState.of(path.stat())
            except OSError as error:
                raise changed(path) from error
            if now != state:
                raise changed(path)


def check_file(
    path: Path, limits: FileLimits | None = None, check_content: CheckContent | None = None
) -> ModelFile:
    """Read a file and check it; `check_content` gets each file that belongs to it.

    Raises ModelError with the reason MODEL_INVALID, MODEL_TOO_LARGE, MODEL_CUSTOM_OPERATOR or
    MODEL_EXTERNAL_DATA, and those of `check_content`.
    """
    limits = limits or FileLimits()
    content = read_regular(path, limits.max_bytes)
    if check_content:
        # First: nothing else reads the bytes of a stranger.
        check_content(path, io.BytesIO(content))
    outline = read_outline(content, limits)
    check_operators(outline, limits)
    external = external_files(path, outline.external)
    total = len(content) + sum(state.size for state in external.values())
    if total > limits.max_bytes:
        raise _too_large(total, limits.max_bytes)
    file = ModelFile(path, content, external)
    if check_content:
        for other in external:
            with open_regular(other) as opened:
                check_content(other, opened)
        file.check_external()
    return file


def read_regular(path: Path, max_bytes: int) -> bytes:
    """Return the bytes of a regular file. Raises ModelError, also for a pipe, a device or a folder."""
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > max_bytes:
            raise _too_large(size, max_bytes)
        try:
            content = file.read(size + 1)
        except OSError as error:
            raise _unreadable(path, error) from error
    if len(content) != size:
        raise changed(path)
    return content


def open_regular(path: Path) -> BinaryIO:
    """Open a regular file. Raises ModelError, also for a pipe, a device or a folder."""
    try:
        # Without O_NONBLOCK, to open a pipe waits for its writer.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise _unreadable(path, error) from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise ModelError(f"{path.name} is not a regular file", reason="MODEL_INVALID")
    return os.fdopen(descriptor, "rb")


def _unreadable(path: Path, error: OSError) -> ModelError:
    return ModelError(f"{path.name} cannot be read: {error.strerror}", reason="MODEL_INVALID")


def _too_large(size: int, max_bytes: int) -> ModelError:
    return ModelError(
        f"the model has {size} bytes with its external data, and at most {max_bytes} are allowed; if you "
        "trust it, set --max-model-bytes",
        reason="MODEL_TOO_LARGE",
    )


def changed(path: Path) -> ModelError:
    """Return the error of a file that differs from the one that was checked."""
    return ModelError(
        f"{path.name} was changed after it was checked: restart the server, and write new versions into "
        "folders of their own",
        reason="MODEL_CHANGED",
    )
