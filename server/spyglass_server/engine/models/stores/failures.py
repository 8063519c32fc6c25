"""What may go wrong with a repository at a URL: each error of a file system as one of ours."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import TypeVar

from spyglass_contract.errors import ModelError
from spyglass_server.engine.models.stores.options import Patience
from spyglass_server.engine.models.stores.url import StoreUrl

Value = TypeVar("Value")

_SHOWN = 200
# Of HTTP: what a later attempt may change.
_PASSING = frozenset((408, 425, 429, *range(500, 600)))


class StoreError(ModelError):
    """A repository cannot be read. If `passing`, another attempt may help.

    `brief` is the message without `detail`: places on this machine, and what libraries say.
    """

    default_reason = "STORE_UNREADABLE"

    def __init__(
        self, message: str, *, reason: str = "", field: str = "", passing: bool = False, detail: str = ""
    ) -> None:
        super().__init__(f"{message}: {detail}" if detail else message, reason=reason, field=field)
        self.brief = message
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
    status = _status(error)
    if isinstance(error, FileNotFoundError | NotADirectoryError) or status in (404, 410):
        return MissingError(f"there is no {place}")
    if isinstance(error, PermissionError) or status in (401, 403, 407):
        return StoreError(
            f"{place} may not be read; check the credentials and what they permit",
            reason="STORE_REFUSED",
            detail=f"status {status}" if status else text_of(error, url),
        )
    if status and status not in _PASSING:
        return StoreError(f"{place} cannot be read", detail=f"status {status}")
    return StoreError(
        f"{place} cannot be reached",
        reason="STORE_UNREACHABLE",
        passing=True,
        detail=f"status {status}" if status else text_of(error, url),
    )


def _status(error: BaseException) -> int:
    """Return the status of HTTP in an error; 0: it has none. Each library has a place of its own for it."""
    response = getattr(error, "response", None)
    # aiohttp has both, and warns of the second.
    found: list[object] = [error.status if hasattr(error, "status") else getattr(error, "code", None)]
    if isinstance(response, dict):
        # botocore, of S3.
        metadata = response.get("ResponseMetadata")
        found.append(metadata.get("HTTPStatusCode") if isinstance(metadata, dict) else None)
    else:
        found.append(getattr(response, "status_code", None))
    return next((status for status in found if isinstance(status, int) and 400 <= status < 600), 0)


def text_of(error: BaseException, url: StoreUrl) -> str:
    """Return what an error of a library says, in one line, without credentials."""
    said = url.hide(" ".join(str(error).split()))[:_SHOWN]
    return f"{type(error).__name__}: {said}" if said else type(error).__name__


def retried(attempt: Callable[[], Value], patience: Patience) -> Value:
    """Return what `attempt` returns, after several attempts if need be, with growing pauses between them.

    Raises the StoreError of the last attempt, and one that does not pass at once.
    """
    for number in range(patience.attempts):
        try:
            return attempt()
        except StoreError as error:
            if not error.passing or number + 1 == patience.attempts:
                raise
        # Others may have failed at the same moment.
        time.sleep(min(patience.max_pause, patience.pause * 2**number) * random.uniform(0.5, 1))
    raise AssertionError
