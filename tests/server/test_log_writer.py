"""Lines to a pipe whose reader is slow, stuck or gone."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from spyglass_server import log_writer
from spyglass_server.log_writer import LogWriter

Eventually = Callable[[Callable[[], bool]], None]
LIMIT = 10_000


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """The descriptors to read from and to write to."""
    reader, writer = os.pipe()
    yield reader, writer
    for descriptor in (reader, writer):
        with suppress(OSError):
            os.close(descriptor)


@pytest.fixture
def log(pipe: tuple[int, int]) -> Iterator[LogWriter]:
    writer = LogWriter(pipe[1], LIMIT, lambda count: b"%d dropped\n" % count)
    yield writer
    # A thread that waits for the reader ends when there is none.
    with suppress(OSError):
        os.close(pipe[0])
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


def test_lines_are_written_together_within_50_ms(log: LogWriter, pipe: tuple[int, int]) -> None:
    started = time.monotonic()
    for number in range(3):
        log.write(b"line %d\n" % number)
    assert os.read(pipe[0], 65536) == b"line 0\nline 1\nline 2\n"
    assert 0.03 < time.monotonic() - started < 5


def test_a_line_in_a_hurry_is_written_at_once_and_after_those_before_it(
    log: LogWriter, pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_writer, "_COLLECT_SECONDS", 600)
    log.write(b"one\n")
    log.write(b"two\n", hurry=True)
    assert read_all(pipe, b"two\n") == b"one\ntwo\n"
    log.write(b"three\n")
    log.flush()
    assert os.read(pipe[0], 65536) == b"three\n"


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
    log.flush()
    assert log.dropped == 1


def test_waiting_lines_are_dropped_when_the_reader_goes(log: LogWriter, pipe: tuple[int, int]) -> None:
    kept = fill(log)
    os.close(pipe[0])
    log.flush()
    assert 1 < log.dropped <= kept + 1


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


def test_close_writes_what_waits_and_ends_the_thread(
    log: LogWriter, pipe: tuple[int, int], eventually: Eventually
) -> None:
    log.write(b"last\n")
    log.close()
    assert os.read(pipe[0], 100) == b"last\n"
    assert log._thread
    log._thread.join(30)
    assert not log._thread.is_alive()
    log.write(b"too late\n")
    assert log.dropped == 1


def test_a_file_gets_every_line(tmp_path: Path) -> None:
    with (tmp_path / "log").open("wb") as file:
        log = LogWriter(file.fileno(), LIMIT, lambda count: b"")
        for _ in range(3):
            log.write(b"x" * (LIMIT - 1) + b"\n")
            log.flush()
        log.close()
    assert log.dropped == 0
    assert (tmp_path / "log").stat().st_size == 3 * LIMIT


def test_the_lines_of_several_writers_to_one_pipe_stay_whole(pipe: tuple[int, int]) -> None:
    dropped = b"%d dropped\n"
    writers = [LogWriter(pipe[1], 4_000_000, lambda count: dropped % count, shared=True) for _ in "ab"]
    expected = []
    for number in range(3000):
        for writer, letter in zip(writers, b"ab", strict=True):
            # More than the pipe holds: the writers wait for room, and take turns.
            line = bytes([letter]) * (number % 400) + b"\n"
            expected.append(line)
            writer.write(line)

    size = sum(map(len, expected))
    found = b""
    while len(found) < size:
        found += os.read(pipe[0], 1000)

    assert sorted(found.splitlines(keepends=True)) == sorted(expected)
    for writer in writers:
        writer.close()


def test_a_line_that_is_longer_than_a_pipe_takes_whole_is_written(pipe: tuple[int, int]) -> None:
    writer = LogWriter(pipe[1], 100_000, lambda count: b"", shared=True)
    lines = [b"short\n", b"x" * 10_000 + b"\n", b"last\n"]
    for line in lines:
        writer.write(line)

    assert read_all(pipe, b"last\n") == b"".join(lines)
    writer.close()
