"""ONNX Runtime's telemetry is off in every process, and no process opens a connection of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from spyglass_client import Client

pytest.importorskip("onnxruntime")

# Python code that runs with ONNX Runtime. Each module is imported first, alone in its process.
WITH_ONNX_RUNTIME = ("spyglass_server.engine.models.session", "spyglass_export.adopting.adopt")

# Ends the process at a connection to another machine, and at an import of ONNX Runtime with its telemetry on.
WATCH = """
import ipaddress, os, socket, sys

def watch(event, arguments):
    if event == "import" and arguments[0].partition(".")[0] == "onnxruntime":
        if os.environ.get("ORT_DISABLE_TELEMETRY") != "1":
            os._exit(21)
    if event in ("socket.connect", "socket.sendto"):
        address = arguments[1]
        if isinstance(address, tuple) and not ipaddress.ip_address(address[0]).is_loopback:
            os._exit(22)
    if event in ("socket.getaddrinfo", "socket.gethostbyname") and arguments[0] not in ("localhost", None):
        os._exit(23)

sys.addaudithook(watch)
"""


def run_watched(code: str, home: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", WATCH + code],
        env=without_telemetry_choice(home),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def without_telemetry_choice(home: Path) -> dict[str, str]:
    left = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    return {**left, "HOME": str(home), "XDG_CACHE_HOME": str(home / "cache")}


def files_in(home: Path) -> list[Path]:
    return [path for path in home.rglob("*") if path.is_file()]


@pytest.mark.parametrize("module", WITH_ONNX_RUNTIME)
def test_a_module_turns_the_telemetry_off_before_it_imports_onnx_runtime(module: str, tmp_path: Path) -> None:
    if module.startswith("spyglass_export"):
        pytest.importorskip("onnx")
    code = f"import {module}; assert 'onnxruntime' in sys.modules; sys.exit(7)"
    finished = run_watched(code, tmp_path)
    assert finished.returncode == 7, finished.stderr
    assert not files_in(tmp_path)


def test_the_watch_sees_an_import_with_the_telemetry_on_and_a_connection(tmp_path: Path) -> None:
    blank = "os.environ['ORT_DISABLE_TELEMETRY'] = '0'; import onnxruntime"
    assert run_watched(blank, tmp_path).returncode == 21
    # No packet leaves: the watch ends the process before the connection. 192.0.2.1 is reserved for examples.
    assert run_watched("socket.socket().connect(('192.0.2.1', 80))", tmp_path).returncode == 22


def test_a_command_classifies_without_a_connection_or_a_file(
    tiny_models: Path, chelsea: bytes, tmp_path: Path
) -> None:
    (tmp_path / "cat.jpg").write_bytes(chelsea)
    code = (
        "from spyglass_server import local_client\n"
        f"with local_client({str(tiny_models)!r}) as client:\n"
        f"    assert client.classify({str(tmp_path / 'cat.jpg')!r}).best\n"
        "sys.exit(7)"
    )
    finished = run_watched(code, tmp_path / "home")
    assert finished.returncode == 7, finished.stderr
    assert not files_in(tmp_path / "home")


def test_a_user_who_wants_the_telemetry_can_have_it(tmp_path: Path) -> None:
    code = (
        "import os; os.environ['ORT_DISABLE_TELEMETRY'] = '0'\n"
        "import types, sys; sys.modules['onnxruntime'] = types.ModuleType('onnxruntime')\n"
        "import spyglass_contract.onnx_runtime; print(os.environ['ORT_DISABLE_TELEMETRY'])"
    )
    finished = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert finished.stdout == "0\n"


@pytest.mark.slow
def test_a_server_has_no_connection_but_those_of_its_callers(
    spawn_server: Callable[..., Any],
    tiny_models: Path,
    chelsea: bytes,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in without_telemetry_choice(tmp_path).items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("ORT_DISABLE_TELEMETRY")
    server = spawn_server("--models", tiny_models)
    server.wait_until_serving()
    with Client(server.address) as client:
        assert client.classify(chelsea, model="colors").best
        process = psutil.Process(server.process.pid)
        connections = process.net_connections("inet")
        libraries = {Path(mapped.path).name for mapped in process.memory_maps()}
    assert any(name.startswith("onnxruntime") for name in libraries)
    assert {one.laddr.port for one in connections} == {server.port}
    assert all(not one.raddr or one.raddr.ip in ("127.0.0.1", "::1") for one in connections)
    assert not files_in(tmp_path)


def test_the_image_of_the_server_turns_it_off_too(repository_root: Path) -> None:
    dockerfile = (repository_root / "deploy/Dockerfile").read_text()
    assert re.search(r"^\s+ORT_DISABLE_TELEMETRY=1 \\$", dockerfile, re.MULTILINE)
