"""Programs whose standard streams are closed: one line that says so, and exit code 1."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

CLASSIFY = "import sys; from spyglass_cli.commands.classify_image import main; sys.exit(main())"


@pytest.mark.parametrize(
    ("source", "closed", "line"),
    [
        ("image", ">&-", "classify-image: standard output is closed"),
        ("image --format jsonl", ">&-", "classify-image: standard output is closed"),
        ("-", "<&-", "classify-image: standard input is closed"),
    ],
)
def test_a_closed_stream_is_named(repository_root: Path, source: str, closed: str, line: str) -> None:
    image = str(repository_root / "examples" / "coffee.jpg")
    arguments = source.replace("image", '"$2"')
    command = ["bash", "-c", f'"$0" -c "$1" {arguments} {closed}', sys.executable, CLASSIFY, image]

    finished = subprocess.run(command, stderr=subprocess.PIPE, text=True, timeout=60)

    assert finished.returncode == 1
    assert finished.stderr.splitlines()[-1] == line
    assert "Traceback" not in finished.stderr
