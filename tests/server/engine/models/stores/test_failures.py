"""Each error of a file system becomes one of ours, with its reason."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from spyglass_server.engine.models.stores.failures import (
    MissingError,
    StoreError,
    retried,
    store_error,
)
from spyglass_server.engine.models.stores.options import Patience
from spyglass_server.engine.models.stores.url import StoreUrl

URL = StoreUrl.parse("https://pat:s3cret@host/models")


class LibraryError(Exception):
    """An error of a library, with any attributes."""

    def __init__(self, text: str = "", **attributes: Any) -> None:
        super().__init__(text)
        self.__dict__.update(attributes)


def with_cause(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "reason", "passing"),
    [
        (FileNotFoundError("x"), "STORE_UNREADABLE", False),
        (NotADirectoryError("x"), "STORE_UNREADABLE", False),
        (PermissionError("x"), "STORE_REFUSED", False),
        (ConnectionError("x"), "STORE_UNREACHABLE", True),
        (TimeoutError(), "STORE_UNREACHABLE", True),
        (LibraryError(status=403), "STORE_REFUSED", False),
        (LibraryError(status=410), "STORE_UNREADABLE", False),
        (LibraryError(status=429), "STORE_UNREACHABLE", True),
        (LibraryError(status=0), "STORE_UNREACHABLE", True),
        (LibraryError(code=401), "STORE_REFUSED", False),
        (LibraryError(code="NoSuchBucket"), "STORE_UNREACHABLE", True),
        (
            LibraryError(response={"ResponseMetadata": {"HTTPStatusCode": 404}}),
            "STORE_UNREADABLE",
            False,
        ),
        (LibraryError(response={"ResponseMetadata": None}), "STORE_UNREACHABLE", True),
        (LibraryError(response=SimpleNamespace(status_code=400)), "STORE_UNREADABLE", False),
        (with_cause(FileNotFoundError("x"), LibraryError(status=503)), "STORE_UNREACHABLE", True),
        (with_cause(FileNotFoundError("x"), FileNotFoundError("y")), "STORE_UNREADABLE", False),
    ],
)
def test_an_error_of_a_library_has_a_reason(error: Exception, reason: str, passing: bool) -> None:
    found = store_error(error, URL, "a/1/model.onnx")
    assert (found.reason, found.passing) == (reason, passing)
    assert "https://host/models/a/1/model.onnx" in found.message


def test_words_of_libraries_are_bounded_and_have_no_credentials() -> None:
    text = "cannot connect to https://pat:s3cret@host/models\n" + "x" * 100_000
    found = store_error(LibraryError(text), URL, "")
    assert "s3cret" not in found.message
    assert "\n" not in found.message
    assert len(found.message) < 400
    assert found.brief == "https://host/models cannot be reached"


def test_what_passes_is_tried_again() -> None:
    tries: list[int] = []

    def attempt() -> int:
        tries.append(1)
        if len(tries) < 3:
            raise StoreError("not yet", passing=True)
        return len(tries)

    assert retried(attempt, Patience(attempts=3, pause=0)) == 3
    tries.clear()
    with pytest.raises(StoreError, match="not yet"):
        retried(attempt, Patience(attempts=2, pause=0))


def test_what_does_not_pass_is_not_tried_again() -> None:
    tries: list[int] = []

    def attempt() -> None:
        tries.append(1)
        raise MissingError("gone")

    with pytest.raises(MissingError):
        retried(attempt, Patience(pause=0))
    assert len(tries) == 1
