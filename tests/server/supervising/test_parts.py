"""The part of each worker process in what the settings allow to all."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from spyglass_contract.errors import InvalidInput
from spyglass_server.engine.capacity.processors import usable_cpus
from spyglass_server.settings import ServerSettings, load_settings
from spyglass_server.supervising.parts import part_of
from spyglass_server.supervising.task import Task


def test_processors_and_memory_are_divided_and_rounded_up() -> None:
    whole = ServerSettings(
        workers=4,
        concurrency=10,
        max_in_flight=1000,
        max_receiving=7,
        max_bytes_in_flight=1001,
        gpu_memory_limit=8,
    )

    part = part_of(whole, 50051)

    assert (part.concurrency, part.max_in_flight, part.max_receiving) == (3, 250, 2)
    assert (part.max_bytes_in_flight, part.gpu_memory_limit) == (251, 2)


def test_the_defaults_are_divided_too() -> None:
    whole = ServerSettings(workers=2)

    part = part_of(whole, 50051)

    assert part.concurrency == -(-usable_cpus() // 2)
    assert 2 * part.max_bytes_in_flight >= whole.effective_max_bytes_in_flight
    assert part.max_bytes_in_flight < whole.effective_max_bytes_in_flight
    assert part.gpu_memory_limit == 0


def test_limits_of_callers_and_connections_are_those_of_each_process() -> None:
    whole = ServerSettings(
        workers=4,
        caller_requests_per_second=10,
        caller_concurrent_calls=3,
        max_streams=5,
        max_calls_per_connection=80,
        max_connections=9,
    )

    part = part_of(whole, 1234)

    assert part.port == 1234
    names = ("caller_requests_per_second", "caller_concurrent_calls", "max_streams")
    for name in (*names, "max_calls_per_connection", "max_connections"):
        assert getattr(part, name) == getattr(whole, name)


def test_a_worker_reads_the_task_that_was_written(tmp_path: Path) -> None:
    settings = ServerSettings(workers=2, default_model=["colors"])
    file = tmp_path / "task"
    with file.open("wb") as stream:
        Task(2, settings, tmp_path).write(stream)
        stream.write(b"\x0f")

    with file.open("rb") as stream:
        task = Task.read(stream)
        assert stream.read() == b"\x0f"

    assert (task.number, task.socket) == (2, tmp_path / "worker-2")
    assert task.settings == settings
    assert task.settings.model_fields_set == settings.model_fields_set


@pytest.mark.parametrize("kept", [0, 5, 20])
def test_a_task_that_is_cut_off_is_an_error(tmp_path: Path, kept: int) -> None:
    file = tmp_path / "task"
    with file.open("wb") as stream:
        Task(1, ServerSettings(), tmp_path).write(stream)
    assert len(pickle.dumps(1)) < file.stat().st_size
    file.write_bytes(file.read_bytes()[:kept])

    with file.open("rb") as stream, pytest.raises(EOFError):
        Task.read(stream)


def test_processes_cannot_share_a_unix_socket() -> None:
    with pytest.raises(InvalidInput, match=r"--workers must be 1 for 'unix:/tmp/socket', not 2") as raised:
        load_settings(["--workers", "2", "--host", "unix:/tmp/socket"])
    assert raised.value.field == "workers"
