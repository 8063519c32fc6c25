"""The commands of a page of the documentation, run in their order in an empty folder."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PATIENCE = 60


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        return int(probe.getsockname()[1])


class Shell:
    """Runs commands in a folder; the last one of them may run in the background."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        bin_folder = Path(sys.executable).parent
        self.environment = {**os.environ, "PATH": f"{bin_folder}{os.pathsep}{os.environ['PATH']}"}
        self.background: subprocess.Popen[bytes] | None = None

    def run(self, command: str) -> tuple[int, str]:
        """Return the exit code, and what the command wrote to both of its outputs."""
        if command.endswith("&"):
            with (self.folder / "server.log").open("wb") as log:
                self.background = subprocess.Popen(
                    ["bash", "-c", f"exec {command[:-1]}"],
                    cwd=self.folder,
                    env=self.environment,
                    stderr=log,
                )
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
        assert self.background
        self.background.terminate()
        return self.background.wait(PATIENCE)


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    made = Shell(tmp_path)
    yield made
    if made.background and made.background.poll() is None:
        made.background.kill()
        made.background.wait(PATIENCE)
