"""Lines to a pipe whose reader is slow, stuck or gone."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from spyglass_server.log_writer import LogWriter

Eventually = Callable[[Callable[[], bool]], None]
LIMIT = 10_000


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """The descriptors to read from and to write to."""
    reader, writer = os.pipe()
    yield reader, writer
    for descriptor in (reader, writer):
        try:
            os.close(descriptor)
        except OSError:
            continue


@pytest.fixture
def log(pipe: tuple[int, int]) -> Iterator[LogWriter]:
    writer = LogWriter(pipe[1], LIMIT, lambda count: b"%d dropped\n" % count)
    yield writer
    writer.close()


def fill(log: LogWriter) -> int:
    """Write lines until one is dropped, and return how many were kept."""
    kept = 0
    while not log.dropped:
        log.write(b"line %06d\n" % kept)
        kept += 1
    return kept - 1


def read_all(pipe: tuple[int, int], until: bytes) -> bytes:
    found = b""
    while not found.endswith(until):
        found += os.read(pipe[0], 65536)
    return found


def test_a_line_is_there_when_write_returns(log: LogWriter, pipe: tuple[int, int]) -> None:
    log.write(b"one\n")
    os.set_blocking(pipe[0], False)
    assert os.read(pipe[0], 100) == b"one\n"


def test_a_reader_that_does_not_read_blocks_nobody(log: LogWriter) -> None:
    started = time.monotonic()
    fill(log)
    for _ in range(1000):
        log.write(b"more\n")
    assert time.monotonic() - started < 5
    assert log.dropped == 1001


def test_a_slow_reader_gets_the_lines_in_order_and_how_many_are_missing(
    log: LogWriter, pipe: tuple[int, int]
) -> None:
    kept = fill(log)
    log.write(b"line lost\n")
    found = read_all(pipe, b"2 dropped\n")
    assert found == b"".join(b"line %06d\n" % number for number in range(kept)) + b"2 dropped\n"
    log.flush()
    log.write(b"after\n")
    assert read_all(pipe, b"after\n") == b"after\n"


def test_a_line_that_is_longer_than_the_pipe_is_written(log: LogWriter, pipe: tuple[int, int]) -> None:
    line = b"x" * (LIMIT - 1) + b"\n"
    log.write(line)
    assert read_all(pipe, b"\n") == line


def test_lines_that_nobody_can_read_are_dropped(log: LogWriter, pipe: tuple[int, int]) -> None:
    os.close(pipe[0])
    log.write(b"one\n")
    assert log.dropped == 1


def test_waiting_lines_are_dropped_when_the_reader_goes(
    log: LogWriter, pipe: tuple[int, int], eventually: Eventually
) -> None:
    fill(log)
    os.close(pipe[0])
    log.flush()
    dropped = log.dropped
    log.write(b"one\n")
    eventually(lambda: log.dropped > dropped)


def test_flush_does_not_wait_for_a_stuck_reader(log: LogWriter) -> None:
    fill(log)
    started = time.monotonic()
    log.flush(0.1)
    assert 0.05 < time.monotonic() - started < 2


def test_a_non_blocking_descriptor_loses_nothing(
    log: LogWriter, pipe: tuple[int, int], eventually: Eventually
) -> None:
    os.set_blocking(pipe[1], False)
    kept = fill(log)
    found = read_all(pipe, b"1 dropped\n")
    assert found.count(b"line") == kept


def test_close_ends_the_thread_that_waits_for_the_reader(log: LogWriter) -> None:
    fill(log)
    log.close()
    assert "log" not in [thread.name for thread in threading.enumerate()]


def test_a_file_gets_every_line(tmp_path: Path) -> None:
    with (tmp_path / "log").open("wb") as file:
        log = LogWriter(file.fileno(), LIMIT, lambda count: b"")
        for _ in range(3):
            log.write(b"x" * LIMIT + b"\n")
    assert log.dropped == 0
    assert (tmp_path / "log").stat().st_size == 3 * (LIMIT + 1)
