"""Log lines for machines (JSON, one object a line) or for people."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Literal

from spyglass_server.request_id import TracedId, current_request_id

LogFormat = Literal["json", "console"]

_EXTRAS = ("code", "duration_ms")


def configure_logging(log_format: LogFormat, level: str) -> None:
    """Send log records of `level` and above to standard error; of other libraries, not below INFO."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if log_format == "json" else ConsoleFormatter())
    handler.addFilter(_is_shown)
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.captureWarnings(True)


def _is_shown(record: logging.LogRecord) -> bool:
    """Return whether a record is shown: debugging lines of other libraries, such as Pillow's, are not."""
    return record.levelno >= logging.INFO or record.name.startswith("spyglass")


class JsonFormatter(logging.Formatter):
    """`{"time", "level", "logger", "message", "request_id", "trace_id", …}`, times in UTC, ISO 8601."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_context(record),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line)


class ConsoleFormatter(logging.Formatter):
    """`12:34:56.789 info  message key=value …`, local time."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s.%(msecs)03d %(levelname)-7s %(message)s", "%H:%M:%S")

    def formatMessage(self, record: logging.LogRecord) -> str:
        context = "".join(f" {key}={value}" for key, value in _context(record).items())
        return super().formatMessage(record) + context


def _context(record: logging.LogRecord) -> dict[str, object]:
    found = {key: record.__dict__[key] for key in _EXTRAS if key in record.__dict__}
    return {**_ids(current_request_id()), **found}


def _ids(request_id: str) -> dict[str, object]:
    if not isinstance(request_id, TracedId):
        return {"request_id": request_id} if request_id else {}
    ids = {"request_id": str(request_id), "trace_id": request_id.trace_id, "span_id": request_id.span_id}
    return {key: value for key, value in ids.items() if value}
