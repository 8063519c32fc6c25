"""What a caller sends cannot make a line of the log look like another, or command a terminal."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spyglass_server.log_text import escaped, exception_text
from spyglass_server.logs import FIELDS, ConsoleFormatter, JsonFormatter

# A line break with a line that looks like ours, line breaks of other systems, colours and a new title of the
# terminal, a text from right to left, and half of a character.
HOSTILE = (
    "a\n12:00:00.000 INFO    forged code=OK\r\x85\u2028\x1b[31m\x1b]0;title\x07\x9b1m\u202e\u2066\ud800\x00"
)
FORMATTERS = [ConsoleFormatter, JsonFormatter]


def hostile_message() -> logging.LogRecord:
    return _record(HOSTILE)


def hostile_argument() -> logging.LogRecord:
    return _record("%s failed", HOSTILE)


def hostile_field() -> logging.LogRecord:
    made = _record("fine")
    made.__dict__[FIELDS] = {"request_id": HOSTILE, "model": HOSTILE}
    return made


def hostile_exception() -> logging.LogRecord:
    made = _record("a request failed")
    try:
        raise ValueError(HOSTILE) from KeyError(HOSTILE)
    except ValueError:
        made.exc_info = sys.exc_info()
    return made


def _record(message: str, *arguments: object) -> logging.LogRecord:
    return logging.LogRecord("spyglass", logging.INFO, __file__, 1, message, arguments, None)


@pytest.mark.parametrize("formatter", FORMATTERS)
@pytest.mark.parametrize(
    "make",
    [hostile_message, hostile_argument, hostile_field, hostile_exception],
    ids=lambda make: make.__name__,
)
def test_a_hostile_text_stays_inside_of_its_line(
    formatter: type[logging.Formatter], make: Callable[[], logging.LogRecord]
) -> None:
    first, *others = formatter().format(make()).split("\n")
    assert first.isprintable()
    assert "forged" not in first.partition("\\n")[0]
    # Those of a stack trace.
    assert all(line.startswith("    ") and line.isprintable() for line in others)
    assert not others or make is hostile_exception


def test_a_line_for_machines_keeps_the_text() -> None:
    line = JsonFormatter().format(hostile_field())
    assert line.isascii()
    assert json.loads(line)["model"] == HOSTILE


@given(st.text(st.characters()))
def test_no_text_breaks_a_line(text: str) -> None:
    assert escaped(text).isprintable()
    made = _record("%s", text)
    made.__dict__[FIELDS] = {"model": text}
    for formatter in FORMATTERS:
        assert formatter().format(made).isprintable()


def test_a_text_of_any_language_is_shown_as_it_is() -> None:
    assert escaped("Käfer 甲虫 🪲") == "Käfer 甲虫 🪲"


def test_a_value_cannot_look_like_another_field() -> None:
    made = _record("fine")
    made.__dict__[FIELDS] = {"model": 'a code="OK"', "empty": ""}
    assert ConsoleFormatter().format(made).endswith(r'model="a code=\"OK\"" empty=""')


@pytest.mark.parametrize("formatter", FORMATTERS)
def test_a_line_has_a_bounded_length(formatter: type[logging.Formatter]) -> None:
    made = _record("%s", "x" * 10_000_000)
    made.__dict__[FIELDS] = {"model": "y" * 10_000_000}
    try:
        raise ValueError("z" * 10_000_000)
    except ValueError:
        made.exc_info = sys.exc_info()
    assert len(formatter().format(made)) < 30_000


@pytest.mark.parametrize("formatter", FORMATTERS)
def test_bytes_in_an_exception_are_not_written(formatter: type[logging.Formatter]) -> None:
    secret = bytes(range(256)) + bytes(reversed(b"'\"SLEXIPTERCES")) * 20
    made = _record("a request failed")
    try:
        try:
            int(secret)
        except ValueError as error:
            raise RuntimeError(f"cannot read {secret!r} or {[secret]}") from error
    except RuntimeError:
        made.exc_info = sys.exc_info()
    line = formatter().format(made)
    assert "SECRETPIXELS" not in line and "\\x" not in line
    assert "cannot read <bytes> or [<bytes>]" in line


def test_an_exception_keeps_its_stack() -> None:
    try:
        raise KeyError("missing")
    except KeyError:
        text = exception_text(sys.exc_info())
    assert "test_an_exception_keeps_its_stack" in text and text.endswith("KeyError: 'missing'")
