"""Where damaged files stop: what their readers stumble over becomes one sentence about the file."""

from __future__ import annotations

import csv
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from spyglass_contract.errors import InvalidInput

# What Python's readers, and code that takes files at their word, raise for a damaged file.
STUMBLES = (
    ValueError,
    TypeError,
    LookupError,
    EOFError,
    OSError,
    csv.Error,
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
)


@contextmanager
def reading(path: Path, expected: str, where_from: str = "") -> Iterator[None]:
    """Within, a file or folder at `path` is taken for `expected`, such as "MNIST".

    Raises InvalidInput, with the reason and with `where_from`, where it is something else.
    """
    try:
        yield
    except STUMBLES as error:
        reason = "it is no text in UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)
        hint = f". {where_from}." if where_from else ""
        raise InvalidInput(f"{path} is not {expected}: {reason}{hint}", field="data") from error
