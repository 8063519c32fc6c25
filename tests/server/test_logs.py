"""Log lines for machines and for people."""

from __future__ import annotations

import json
import logging
import re
import sys
import threading
import warnings
from collections.abc import Iterator
from datetime import datetime

import pytest

from spyglass_server.logs import FIELDS, ConsoleFormatter, JsonFormatter, configure_logging
from spyglass_server.request_id import TracedId, using_request_id


def record(message: str = "answered", **fields: object) -> logging.LogRecord:
    made = logging.LogRecord("spyglass.requests", logging.INFO, __file__, 1, message, (), None)
    made.__dict__[FIELDS] = fields
    return made


@pytest.fixture
def untouched_root() -> Iterator[None]:
    """Restore the root logger after the test."""
    root = logging.getLogger()
    handlers, level, hook = list(root.handlers), root.level, threading.excepthook
    yield
    threading.excepthook = hook
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)


def test_a_line_for_machines_is_one_object() -> None:
    line = JsonFormatter().format(record("two\nlines"))

    fields = json.loads(line)
    assert "\n" not in line
    assert set(fields) == {"time", "level", "logger", "message"}
    assert (fields["level"], fields["logger"]) == ("info", "spyglass.requests")
    assert datetime.fromisoformat(fields["time"]).utcoffset() is not None


def test_a_line_for_machines_carries_the_request() -> None:
    made = record(code="OK", duration_ms=1.25)
    made.__dict__["other"] = "dropped"
    with using_request_id("id-1"):
        fields = json.loads(JsonFormatter().format(made))

    assert fields["message"] == "answered"
    assert (fields["request_id"], fields["code"], fields["duration_ms"]) == ("id-1", "OK", 1.25)
    assert "other" not in fields


def test_the_time_of_a_line_is_that_of_its_record() -> None:
    json_line, console = JsonFormatter(), ConsoleFormatter()
    for seconds in (1_700_000_000.0, 1_700_000_000.9999, 1_700_000_001.25, 1_700_000_000.5):
        made = record()
        made.created = seconds
        time = datetime.fromisoformat(json.loads(json_line.format(made))["time"]).timestamp()
        assert seconds - 0.0011 < time <= seconds
        assert console.format(made).startswith(f"{datetime.fromtimestamp(seconds):%H:%M:%S}.")


def test_a_line_of_a_traced_request_carries_the_trace() -> None:
    with using_request_id(TracedId("id-1", "ab" * 16, "cd" * 8)):
        fields = json.loads(JsonFormatter().format(record()))
        line = ConsoleFormatter().format(record())

    assert (fields["request_id"], fields["trace_id"], fields["span_id"]) == ("id-1", "ab" * 16, "cd" * 8)
    assert f"request_id=id-1 trace_id={'ab' * 16} span_id={'cd' * 8}" in line


def test_a_line_of_a_request_without_a_span_carries_its_callers_trace() -> None:
    with using_request_id(TracedId("id-1", "ab" * 16, "")):
        fields = json.loads(JsonFormatter().format(record()))

    assert fields["trace_id"] == "ab" * 16
    assert "span_id" not in fields


def test_a_line_for_machines_carries_the_stack_of_an_exception() -> None:
    made = record()
    try:
        raise ValueError("inside")
    except ValueError:
        made.exc_info = sys.exc_info()

    assert "ValueError: inside" in json.loads(JsonFormatter().format(made))["exception"]


def test_a_line_for_people_starts_with_the_time() -> None:
    with using_request_id("id-1"):
        line = ConsoleFormatter().format(record(code="OK"))

    assert re.fullmatch(r"\d\d:\d\d:\d\d\.\d{3} INFO    answered request_id=id-1 code=OK", line)


@pytest.mark.usefixtures("untouched_root")
def test_records_at_or_above_the_level_go_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("json", "warning")

    logging.getLogger("spyglass").info("unheard")
    logging.getLogger("spyglass").warning("heard")

    captured = capsys.readouterr()
    assert captured.out == ""
    assert json.loads(captured.err)["message"] == "heard"


@pytest.mark.usefixtures("untouched_root")
def test_warnings_of_libraries_are_log_lines_too(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("json", "info")

    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(True)
        warnings.warn("an odd file", UserWarning, stacklevel=1)

    assert "an odd file" in json.loads(capsys.readouterr().err)["message"]


def test_debug_lines_of_other_libraries_are_not_written(
    untouched_root: None, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logging("console", "debug")
    logging.getLogger("PIL.TiffImagePlugin").debug("tag: ImageWidth (256)")
    logging.getLogger("PIL.TiffImagePlugin").info("news of another library")
    logging.getLogger("spyglass_server.engine").debug("details of ours")
    written = capsys.readouterr().err
    assert "ImageWidth" not in written
    assert "details of ours" in written and "news of another library" in written


def test_a_higher_level_applies_to_all_loggers(
    untouched_root: None, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logging("console", "error")
    for name in ("PIL", "spyglass_server.engine"):
        logging.getLogger(name).warning("not so bad")
    assert capsys.readouterr().err == ""


@pytest.mark.usefixtures("untouched_root")
def test_an_exception_that_ends_a_thread_is_a_log_line(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("json", "info")

    def fail() -> None:
        raise ValueError("inside\n\x1b[31m")

    thread = threading.Thread(target=fail, name="mine")
    thread.start()
    thread.join()
    (line,) = capsys.readouterr().err.splitlines()
    assert json.loads(line)["message"] == "an exception has ended the thread mine"
    assert "ValueError: inside" in json.loads(line)["exception"]
