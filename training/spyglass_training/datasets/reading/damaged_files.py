"""One error for damaged files: the exceptions of their readers become InvalidInput."""

from __future__ import annotations

import csv
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from spyglass_contract.errors import InvalidInput

# The exceptions that Python's readers raise for damaged files.
READER_ERRORS = (
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
    """Inside, a file or folder at `path` is read as `expected`, such as "MNIST".

    Raises InvalidInput with the reason and with `where_from` if it is something else.
    """
    try:
        yield
    except READER_ERRORS as error:
        reason = "it is not UTF-8 text" if isinstance(error, UnicodeDecodeError) else str(error)
        hint = f". {where_from}." if where_from else ""
        raise InvalidInput(f"{path} is not {expected}: {reason}{hint}", field="data") from error
