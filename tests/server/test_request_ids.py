"""The id of a request."""

from __future__ import annotations

import re

import pytest

from spyglass_server.request_id import current_request_id, request_id_of, using_request_id


@pytest.mark.parametrize("sent", ["order-7", "4bf92f3577b34da6a3ce929d0e0e4736", "a/b:c=d+e_f.g", "x" * 128])
def test_the_id_of_the_caller_is_kept(sent: str) -> None:
    assert request_id_of([("user-agent", "test"), ("x-request-id", sent)]) == sent


@pytest.mark.parametrize("sent", ["", "two words", "line\nbreak", 'quote"', "x" * 129, "é", b"bytes"])
def test_an_id_that_would_break_a_log_line_is_replaced(sent: str | bytes) -> None:
    given = request_id_of([("x-request-id", sent)])

    assert re.fullmatch("[0-9a-f]{32}", given)


def test_calls_without_an_id_get_different_ones() -> None:
    assert request_id_of([]) != request_id_of([])


def test_the_id_is_current_only_inside_of_its_request() -> None:
    with using_request_id("outer"):
        with using_request_id("inner"):
            assert current_request_id() == "inner"
        assert current_request_id() == "outer"

    assert current_request_id() == ""
