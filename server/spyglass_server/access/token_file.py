"""Changes of a token file: each is made in one step, and two at a time do not lose one of them."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from spyglass_contract.errors import InvalidInput
from spyglass_contract.files import whole_file
from spyglass_server.access.entries import Entry, TokenFileError, read_entries

_MODE = 0o600


def add_entry(path: Path, entry: Entry) -> None:
    """Add an entry; make the file if it does not exist. Raises TokenFileError and InvalidInput."""

    def add(entries: Sequence[Entry]) -> list[Entry]:
        if entry.certificate and any(
            other.certificate == entry.certificate and not other.revoked for other in entries
        ):
            raise InvalidInput(f"{path} already has the certificate {entry.certificate[:100]!r}")
        return [*entries, entry]

    _change(path, add)


def revoke_entries(path: Path, id_or_name: str) -> list[Entry]:
    """Revoke the entry with an id, or every entry with a name, and return them.

    Raises TokenFileError, and InvalidInput if there is no such entry.
    """
    revoked: list[Entry] = []

    def revoke(entries: Sequence[Entry]) -> list[Entry]:
        now = datetime.now(UTC)
        changed = []
        for entry in entries:
            if id_or_name in (entry.id, entry.name) and not entry.revoked:
                entry = entry.model_copy(update={"revoked": now})
                revoked.append(entry)
            changed.append(entry)
        if not revoked:
            raise InvalidInput(
                f"{path} has no valid entry with the id or name {id_or_name[:100]!r}; "
                "`spyglass token list` shows them"
            )
        return changed

    read_entries(path)
    _change(path, revoke)
    return revoked


def _change(path: Path, change: Callable[[Sequence[Entry]], list[Entry]]) -> None:
    with _locked(path.parent):
        entries = change(read_entries(path) if path.exists() else ())
        lines = [entry.model_dump_json(exclude_none=True, exclude_defaults=True) for entry in entries]
        # A link stays a link: the file that it names is replaced.
        with whole_file(path.resolve()) as temporary:
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _MODE)
            with open(descriptor, "w", encoding="utf-8") as file:
                file.writelines(f"{line}\n" for line in lines)
                file.flush()
                os.fsync(file.fileno())


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Let one writer at a time change the files of a folder. The lock ends with the process, too."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise TokenFileError(f"the folder {folder} of the file: {error.strerror}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
