"""Device, capacity, ports, limits, clock and folders: each check finds what is broken."""

from __future__ import annotations

import os
import resource
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from spyglass_cli.diagnosing import clock
from spyglass_cli.diagnosing.cache_folder import check_cache_folder
from spyglass_cli.diagnosing.capacity import check_capacity
from spyglass_cli.diagnosing.clock import check_clock
from spyglass_cli.diagnosing.device import check_device
from spyglass_cli.diagnosing.file_limits import check_file_limits
from spyglass_cli.diagnosing.finding import Finding
from spyglass_cli.diagnosing.ports import check_ports

Find = Callable[..., list[Finding]]


def test_a_device_that_is_missing_is_found(find: Find) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this ONNX Runtime has CUDA")

    (found,) = find(check_device, device="cuda")

    assert found.status == "fail"
    assert "install onnxruntime-gpu" in found.message


@pytest.mark.parametrize(("value", "status"), [("1", "ok"), ("0", "warn")])
def test_telemetry_that_is_on_is_found(
    find: Find, monkeypatch: pytest.MonkeyPatch, value: str, status: str
) -> None:
    monkeypatch.setenv("ORT_DISABLE_TELEMETRY", value)

    assert [found.status for found in find(check_device, device="cpu")] == [status]


def control_group(root: Path, processors: int, megabytes: int) -> str:
    group = root / "sys/fs/cgroup"
    group.mkdir(parents=True)
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text("0::/\n")
    (group / "cpu.max").write_text(f"{processors * 100_000} 100000\n")
    (group / "memory.max").write_text(f"{megabytes * 1024 * 1024}\n")
    return str(root)


def test_more_threads_than_processors_and_more_bytes_than_memory_are_found(
    find: Find, tmp_path: Path
) -> None:
    root = control_group(tmp_path, 1, 256)

    threads, memory, in_flight = find(
        check_capacity, root=root, concurrency=2, threads_per_worker=3, max_bytes_in_flight=200 * 1024 * 1024
    )

    assert threads.message == "concurrency x threads_per_worker is 6, and 1 processors are usable"
    assert memory.message == "the memory is 256 MiB; a server needs 512 or more"
    assert in_flight.message == "max_bytes_in_flight is 200 MiB of 256 MiB of memory"


def test_more_workers_than_processors_are_found(find: Find, tmp_path: Path) -> None:
    root = control_group(tmp_path, 2, 4096)

    assert [each.status for each in find(check_capacity, root=root, concurrency=2, workers=2)] == ["ok"]
    (finding,) = find(check_capacity, root=root, concurrency=2, workers=4)

    assert finding.message == "concurrency x threads_per_worker is 4, and 2 processors are usable"


def test_a_port_in_use_is_found(find: Find) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        (found,) = find(check_ports, host="127.0.0.1", port=port)
        (running,) = find(check_ports, host="127.0.0.1", port=port, target=f"localhost:{port}")
        free, metrics = find(check_ports, host="127.0.0.1", metrics_host="127.0.0.1", metrics_port=port)

    assert (found.status, running.status) == ("fail", "ok")
    assert found.message == f"port {port} cannot be used: another process uses this port"
    assert (free.status, metrics.status) == ("ok", "fail")
    assert "set --metrics-port" in metrics.advice


def test_a_socket_in_a_folder_that_does_not_exist_is_found(find: Find, tmp_path: Path) -> None:
    (found,) = find(check_ports, host=f"unix:{tmp_path}/missing/socket")
    (good,) = find(check_ports, host=f"unix:{tmp_path}/socket")

    assert (found.status, good.status) == ("fail", "ok")


@pytest.fixture
def limit_files() -> Iterator[Callable[[int], None]]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield lambda count: resource.setrlimit(resource.RLIMIT_NOFILE, (count, before[1]))
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_a_low_limit_of_open_files_is_found(find: Find, limit_files: Callable[[int], None]) -> None:
    limit_files(700)

    assert find(check_file_limits, max_connections=500)[0].status == "ok"
    (found,) = find(check_file_limits, max_connections=1000)
    limit_files(100)
    (hopeless,) = find(check_file_limits, max_connections=10)

    assert found.status == "warn"
    assert found.message.startswith("700 files may be open")
    assert "ulimit -n 1128" in found.advice
    assert hopeless.status == "fail"


def test_a_clock_behind_the_files_is_found(
    find: Find, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clock, "kernel_state", lambda: 0)
    config = tmp_path / "spyglass.yaml"
    config.write_text("")
    assert [found.status for found in find(check_clock, config=config)] == ["ok"]
    os.utime(config, (time.time() + 3600,) * 2)

    (found,) = find(check_clock, config=config)

    assert found.status == "warn"
    assert "written 3600 s in the future" in found.message


@pytest.mark.parametrize(("state", "status"), [(0, "ok"), (5, "warn")])
def test_the_state_of_the_kernels_clock_is_reported(
    find: Find, monkeypatch: pytest.MonkeyPatch, state: int, status: str
) -> None:
    # From TIME_OK to TIME_ERROR.
    assert 0 <= clock.kernel_state() <= 5
    monkeypatch.setattr(clock, "kernel_state", lambda: state)

    assert [found.status for found in find(check_clock)] == [status]


def test_folders_that_cannot_be_written_to_are_found(
    find: Find, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "file"
    file.write_text("")
    (tmp_path / "models").mkdir()
    # Files in the places of folders: unlike permissions, root is stopped by them.
    (tmp_path / "models/.spyglass").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(file))

    warning, failure = find(check_cache_folder, models=[tmp_path / "models"], engine_cache=file / "engines")

    assert warning.status == "warn"
    assert "each start measures again" in warning.message
    assert failure.status == "fail"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert [found.status for found in find(check_cache_folder, models=[tmp_path / "models"])] == ["ok"]
