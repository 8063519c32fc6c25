"""The tree of errors, and the table from errors to status codes."""

from __future__ import annotations

import inspect
import re

import grpc
import pytest

from spyglass_contract import errors
from spyglass_contract.errors import SpyglassError
from spyglass_contract.status_codes import STATUS_CODES, status_code

CLASSES = [
    kind
    for _, kind in inspect.getmembers(errors, inspect.isclass)
    if issubclass(kind, SpyglassError) and kind is not SpyglassError
]


@pytest.mark.parametrize("kind", CLASSES)
def test_every_error_has_a_reason_for_programs(kind: type[SpyglassError]) -> None:
    error = kind("something happened")

    assert re.fullmatch(r"[A-Z][A-Z0-9_]+", error.reason)
    assert (str(error), error.message, error.field) == ("something happened", "something happened", "")


def test_no_two_errors_share_their_default_reason() -> None:
    assert len({kind.default_reason for kind in CLASSES}) == len(CLASSES)


def test_a_given_reason_replaces_the_default() -> None:
    error = errors.ImageError("cut off", reason="IMAGE_TRUNCATED", field="image")

    assert (error.reason, error.field) == ("IMAGE_TRUNCATED", "image")


@pytest.mark.parametrize("kind", CLASSES)
def test_the_drawing_of_the_tree_shows_the_codes_of_the_table(kind: type[SpyglassError]) -> None:
    drawn = re.search(rf"── {kind.__name__}\b *([A-Z_]{{3,}})?", inspect.getdoc(errors) or "")

    assert drawn
    assert drawn[1] in (None, status_code(kind("")))
    assert (kind in STATUS_CODES) == (drawn[1] is not None)


@pytest.mark.parametrize("kind", CLASSES)
def test_every_error_has_a_code_that_grpc_knows(kind: type[SpyglassError]) -> None:
    assert grpc.StatusCode[status_code(kind(""))] is not grpc.StatusCode.OK


def test_an_error_has_the_code_of_its_nearest_class_in_the_table() -> None:
    assert status_code(errors.ImageError("")) == "INVALID_ARGUMENT"


@pytest.mark.parametrize("error", [ValueError("x"), KeyError("x"), errors.CardError("x"), MemoryError()])
def test_an_error_that_is_not_in_the_table_is_internal(error: BaseException) -> None:
    assert status_code(error) == "INTERNAL"


def test_an_overload_error_states_when_to_send_the_request_again() -> None:
    assert errors.Overloaded("full", retry_after=0.25).retry_after == 0.25
    assert errors.Overloaded("full").retry_after is None
