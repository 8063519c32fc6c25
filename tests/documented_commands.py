"""The commands of a page of the documentation, run in their order in an empty folder."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

PATIENCE = 60


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        return int(probe.getsockname()[1])


def wait_for_port(port: int) -> None:
    """Wait until a process listens on a port of this machine."""
    ends = time.monotonic() + PATIENCE
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("localhost", port)) == 0:
                return
        assert time.monotonic() < ends
        time.sleep(0.02)


class Shell:
    """Runs commands in a folder, some of them in the background; the last one of these is the server."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        bin_folder = Path(sys.executable).parent
        self.environment = {**os.environ, "PATH": f"{bin_folder}{os.pathsep}{os.environ['PATH']}"}
        self.background: list[subprocess.Popen[bytes]] = []

    def run(self, command: str) -> tuple[int, str]:
        """Return the exit code, and what the command wrote to both of its outputs."""
        if command.endswith("&"):
            with (self.folder / "server.log").open("ab") as log:
                process = subprocess.Popen(
                    ["bash", "-c", f"exec {command[:-1]}"],
                    cwd=self.folder,
                    env=self.environment,
                    stderr=log,
                )
            self.background.append(process)
            return 0, ""
        ended = subprocess.run(
            ["bash", "-o", "pipefail", "-c", command],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
        )
        return ended.returncode, ended.stdout + ended.stderr

    def end(self) -> int:
        """Stop the server; return its exit code."""
        server = self.background[-1]
        server.terminate()
        return server.wait(PATIENCE)


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    made = Shell(tmp_path)
    yield made
    for process in made.background:
        process.kill()
        process.wait(PATIENCE)
