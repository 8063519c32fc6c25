"""Log lines for machines (JSON, one object a line) or for people."""

from __future__ import annotations

import json
import logging
import sys
import threading
import time
from collections.abc import Callable, Mapping
from io import UnsupportedOperation
from typing import Literal, TextIO

from spyglass_server.log_text import escaped, exception_text, shortened
from spyglass_server.log_writer import LogWriter
from spyglass_server.request_id import TracedId, current_request_id

LogFormat = Literal["json", "console"]

FIELDS = "fields"
"""The attribute of a record with further fields of its line: texts and numbers by their names."""

# Lines that wait for a slow reader, in bytes.
_WAITING_BYTES = 1024 * 1024

_log = logging.getLogger(__name__)


def configure_logging(log_format: LogFormat, level: str, fields: Mapping[str, object] | None = None) -> None:
    """Send log records of `level` and above to standard error; of other libraries, not below INFO.

    Each line gets `fields`, which tell the lines of several processes with one standard error apart.
    """
    # Nothing shows them, and to find them takes time in each record.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    handler = _handler(sys.stderr, shared=fields is not None)
    handler.setFormatter(JsonFormatter(fields) if log_format == "json" else ConsoleFormatter(fields))
    handler.addFilter(_is_shown)
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.captureWarnings(True)
    threading.excepthook = _log_uncaught


def _log_uncaught(uncaught: threading.ExceptHookArgs) -> None:
    """Log an exception that ends a thread, which Python would write beside the log."""
    name = uncaught.thread.name if uncaught.thread else "?"
    error = uncaught.exc_value or uncaught.exc_type()
    _log.error("an exception has ended the thread %s", name, exc_info=error)


def dropped_lines() -> int:
    """Return the number of lines that were dropped because nobody read them in time."""
    return sum(
        handler.writer.dropped for handler in logging.getLogger().handlers if isinstance(handler, LineHandler)
    )


def _handler(stream: TextIO, *, shared: bool) -> logging.Handler:
    try:
        return LineHandler(stream.fileno(), shared=shared)
    # A stream in memory, whose writes do not block.
    except (UnsupportedOperation, ValueError):
        return logging.StreamHandler(stream)


def _is_shown(record: logging.LogRecord) -> bool:
    """Return whether a record is shown: debugging lines of other libraries, such as Pillow's, are not."""
    return record.levelno >= logging.INFO or record.name.startswith("spyglass")


class LineHandler(logging.Handler):
    """Writes each record as a line to a file descriptor, and never waits for its reader."""

    def __init__(self, descriptor: int, *, shared: bool = False) -> None:
        """`shared`: other processes write to the descriptor, too."""
        super().__init__()
        self.writer = LogWriter(descriptor, _WAITING_BYTES, self._dropped_line, shared=shared)

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record, or drop it if too many wait."""
        try:
            self.writer.write(self._line(record), hurry=record.levelno >= logging.WARNING)
        # As the handlers of the standard library do.
        except Exception:
            self.handleError(record)

    def flush(self) -> None:
        """Wait for up to a second until all lines are written."""
        self.writer.flush()

    def close(self) -> None:
        """Write no further lines."""
        self.writer.close()
        super().close()

    def _line(self, record: logging.LogRecord) -> bytes:
        return f"{self.format(record)}\n".encode("utf-8", "backslashreplace")

    def _dropped_line(self, count: int) -> bytes:
        text = "%d log lines were dropped: standard error was not read in time"
        return self._line(_log.makeRecord(_log.name, logging.WARNING, __file__, 0, text, (count,), None))


class JsonFormatter(logging.Formatter):
    """`{"time", "level", "logger", "message", "request_id", "trace_id", …}`, times in UTC, ISO 8601."""

    def __init__(self, fields: Mapping[str, object] | None = None) -> None:
        """Each line gets `fields`."""
        super().__init__()
        self._fields = dict(fields or {})
        self._clock = _Clock("%Y-%m-%dT%H:%M:%S", time.gmtime)
        # Everything but ASCII is escaped: no character of a caller reaches a terminal as it is.
        self._encode = json.JSONEncoder(check_circular=False, default=str).encode

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a record."""
        line: dict[str, object] = {
            "time": f"{self._clock.text(record.created)}+00:00",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": shortened(record.getMessage()),
            **self._fields,
        }
        for name, value in _context(record).items():
            line[name] = shortened(value) if isinstance(value, str) else value
        if record.exc_info:
            line["exception"] = exception_text(record.exc_info)
        return self._encode(line)


class ConsoleFormatter(logging.Formatter):
    """`12:34:56.789 INFO    message key=value …`, local time; the lines of a stack trace are indented."""

    def __init__(self, fields: Mapping[str, object] | None = None) -> None:
        """Each line gets `fields`."""
        super().__init__()
        self._fields = [f"{name}={_shown(value)}" for name, value in (fields or {}).items()]
        self._clock = _Clock("%H:%M:%S", time.localtime)

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a record, and further ones if it has an exception."""
        message = escaped(shortened(record.getMessage().rstrip("\n")))
        parts = [f"{self._clock.text(record.created)} {record.levelname:<7} {message}", *self._fields]
        parts += [f"{name}={_shown(value)}" for name, value in _context(record).items()]
        line = " ".join(parts)
        if record.exc_info:
            # Indented, so that no text in an exception looks like a line of the log.
            trace = exception_text(record.exc_info).splitlines()
            line += "".join(f"\n    {escaped(each)}" for each in trace)
        return line


class _Clock:
    """Times with milliseconds. The text of a second is made once."""

    def __init__(self, form: str, parts: Callable[[float], time.struct_time]) -> None:
        """`form` and `parts` are for `time.strftime`: how a second is written, and in which zone."""
        self._form = form
        self._parts = parts
        # The last second and its text: replaced in one step, so that no thread sees half of it.
        self._last = (0, "")

    def text(self, seconds: float) -> str:
        """Return a time in seconds since 1970 as a text."""
        whole = int(seconds)
        last, text = self._last
        if last != whole:
            text = time.strftime(self._form, self._parts(whole))
            self._last = whole, text
        return f"{text}.{int((seconds - whole) * 1000):03d}"


def _context(record: logging.LogRecord) -> dict[str, object]:
    fields: dict[str, object] = record.__dict__.get(FIELDS) or {}
    request_id = fields.get("request_id") or current_request_id()
    return {**_ids(request_id), **fields} if request_id else fields


def _ids(request_id: object) -> dict[str, object]:
    if not isinstance(request_id, TracedId):
        return {"request_id": request_id}
    ids = {"request_id": str(request_id), "trace_id": request_id.trace_id, "span_id": request_id.span_id}
    return {key: value for key, value in ids.items() if value}


def _shown(value: object) -> str:
    """Return a value of a field; one with spaces is quoted, so that it does not look like another field."""
    text = shortened(str(value))
    if text.isalnum():
        return text
    text = escaped(text)
    return json.dumps(text, ensure_ascii=False) if " " in text or '"' in text or not text else text
