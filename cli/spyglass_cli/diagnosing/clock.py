"""The clock: certificates and tokens have times in them.

There is no other clock to compare with, so this finds three signs of a wrong one, and no more.
"""

from __future__ import annotations

import ctypes
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from spyglass_cli.diagnosing.finding import Finding, Subject, ok, warn

_SECONDS = 5.0
# adjtimex(2): the clock is not synchronised.
_TIME_ERROR = 5
# `struct timex` has 208 bytes; with zeros the call changes nothing.
_TIMEX_BYTES = 512
_ADVICE = "synchronise it, with chrony or systemd-timesyncd"


def check_clock(subject: Subject) -> Iterator[Finding]:
    """Find a clock that the system knows to be wrong, or that differs from the times of files."""
    problems = []
    if (ahead := _newest(subject) - time.time()) > _SECONDS:
        problems.append(warn(f"a file of the settings was written {ahead:.0f} s in the future", _ADVICE))
    if (drift := abs(_file_system_time() - time.time())) > _SECONDS:
        problems.append(warn(f"the clock of the temporary folder differs by {drift:.0f} s", _ADVICE))
    if kernel_state() == _TIME_ERROR:
        problems.append(warn("the kernel says that its clock is not synchronised", _ADVICE))
    yield from problems or [ok("the clock is synchronised, and not behind the files")]


def kernel_state() -> int:
    """Return the state of the clock by adjtimex(2); 0 if it is unknown."""
    try:
        return int(ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES)))
    except (OSError, AttributeError):
        return 0


def _newest(subject: Subject) -> float:
    """Return the time of the newest file in the settings."""
    settings = subject.settings
    named = [settings.config, settings.tls_certificate, settings.tls_key, settings.tls_client_ca]
    files = [path for path in named if path] + [
        path
        for root in settings.models
        if isinstance(root, Path) and root.is_dir()
        for path in root.glob("*/*/model.onnx")
    ]
    return max((path.stat().st_mtime for path in files if path.exists()), default=0.0)


def _file_system_time() -> float:
    with tempfile.NamedTemporaryFile() as file:
        file.write(b"x")
        file.flush()
        return Path(file.name).stat().st_mtime
