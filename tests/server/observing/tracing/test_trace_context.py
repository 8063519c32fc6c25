"""The caller's trace, by the rules of W3C."""

from __future__ import annotations

import pytest

pytest.importorskip("opentelemetry.sdk")

from opentelemetry.trace import get_current_span

from spyglass_server.observing.tracing.trace_context import caller_context

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
VALID = f"00-{TRACE}-{SPAN}-01"


def state_of(*states: str) -> str:
    metadata = (("traceparent", VALID), *(("tracestate", state) for state in states))
    context = caller_context(metadata)
    assert context is not None
    return str(get_current_span(context).get_span_context().trace_state.to_header())


@pytest.mark.parametrize("parent", [VALID, f"00-{TRACE}-{SPAN}-00", f"cc-{TRACE}-{SPAN}-01-later"])
def test_a_valid_parent_is_taken(parent: str) -> None:
    context = caller_context((("other", "x"), ("traceparent", parent)))
    assert context is not None
    span = get_current_span(context).get_span_context()
    assert (f"{span.trace_id:032x}", f"{span.span_id:016x}", span.is_remote) == (TRACE, SPAN, True)


@pytest.mark.parametrize(
    "parent",
    [
        "",
        "x",
        VALID.upper(),
        VALID[:-1],
        f"{VALID}-more",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE}-{SPAN}-0g",
        VALID.encode(),
        "é" * 55,
        VALID * 100_000,
    ],
)
def test_an_invalid_parent_is_ignored(parent: str | bytes) -> None:
    assert caller_context((("traceparent", parent),)) is None


def test_two_parents_are_ignored() -> None:
    assert caller_context((("traceparent", VALID), ("traceparent", VALID))) is None


def test_several_states_are_one() -> None:
    assert state_of("a=1,b=2", "c=3") == "a=1,b=2,c=3"


@pytest.mark.parametrize(
    "state", ["a=" + "x" * 511, ",".join(f"k{number}=1" for number in range(33)), "no state", "a=1,a=2"]
)
def test_a_state_that_is_invalid_or_too_long_is_left_out(state: str) -> None:
    assert state_of(state) == ""
