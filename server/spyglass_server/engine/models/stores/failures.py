"""What may go wrong with a repository at a URL: each error of a file system as one of ours."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from threading import Thread
from typing import TypeVar

from spyglass_contract.errors import ModelError
from spyglass_server.engine.models.stores.url import StoreUrl

Value = TypeVar("Value")

ATTEMPTS = 4
_FIRST_PAUSE, _MAX_PAUSE = 0.25, 4.0
_SHOWN = 200
# Of HTTP: what a later attempt may change.
_PASSING = frozenset((408, 425, 429, *range(500, 600)))


class StoreError(ModelError):
    """A repository cannot be read. If `passing`, another attempt may help."""

    default_reason = "STORE_UNREADABLE"

    def __init__(self, message: str, *, reason: str = "", field: str = "", passing: bool = False) -> None:
        super().__init__(message, reason=reason, field=field)
        self.passing = passing


class MissingError(StoreError):
    """There is no such file or folder."""

    default_reason = "STORE_UNREADABLE"


def store_error(error: BaseException, url: StoreUrl, path: str) -> StoreError:
    """Return the error of a file system as one that names the file and says what to do.

    `path` is below `url`; empty: the root.
    """
    place = f"{url}/{path}" if path else str(url)
    # fsspec reports each failed request for the size of a file as a missing file.
    cause = error.__cause__
    if isinstance(error, FileNotFoundError) and cause and not isinstance(cause, FileNotFoundError):
        error = cause
    status = getattr(error, "status", None)
    if isinstance(error, FileNotFoundError | NotADirectoryError) or status in (404, 410):
        return MissingError(f"there is no {place}")
    if isinstance(error, PermissionError) or status in (401, 403, 407):
        said = f"status {status}" if status else text_of(error, url)
        return StoreError(
            f"{place} may not be read ({said}): check the credentials and what they permit",
            reason="STORE_REFUSED",
        )
    if isinstance(status, int) and status not in _PASSING and status > 0:
        return StoreError(f"{place} cannot be read: the server answered with the status {status}")
    said = f"the server answered with the status {status}" if status else text_of(error, url)
    return StoreError(f"{place} cannot be reached: {said}", reason="STORE_UNREACHABLE", passing=True)


def text_of(error: BaseException, url: StoreUrl) -> str:
    """Return what an error of a library says, in one line, without credentials."""
    said = url.hide(" ".join(str(error).split()))[:_SHOWN]
    return f"{type(error).__name__}: {said}" if said else type(error).__name__


def retried(attempt: Callable[[], Value], pause: float = _FIRST_PAUSE) -> Value:
    """Return what `attempt` returns, after up to ATTEMPTS attempts with growing pauses between them.

    Raises the StoreError of the last attempt, and one that does not pass at once.
    """
    for number in range(ATTEMPTS):
        try:
            return attempt()
        except StoreError as error:
            if not error.passing or number + 1 == ATTEMPTS:
                raise
        # Others may have failed at the same moment.
        time.sleep(min(_MAX_PAUSE, pause * 2**number) * random.uniform(0.5, 1))
    raise AssertionError


def within(seconds: float, work: Callable[[], Value]) -> Value:
    """Return what `work` returns. Raises its errors, and TimeoutError after some seconds.

    Some file systems have no timeouts: a thread that does not return is left behind.
    """
    outcome: Future[Value] = Future()

    def run() -> None:
        try:
            outcome.set_result(work())
        except BaseException as error:
            with suppress(Exception):
                outcome.set_exception(error)

    Thread(target=run, name="store", daemon=True).start()
    try:
        return outcome.result(seconds)
    except TimeoutError:
        if outcome.done():
            raise
        raise TimeoutError(f"no response within {seconds:g} seconds") from None
