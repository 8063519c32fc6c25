"""The commands of the page about operations, run in their order in an empty folder."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from documented_commands import PATIENCE, Shell, free_port

pytestmark = pytest.mark.slow


def test_ten_commands_give_a_server_with_everything(
    shell: Shell,
    repository_root: Path,
    otlp_receiver: Any,
    eventually: Callable[..., None],
) -> None:
    page = (repository_root / "docs/operations.md").read_text()
    places = {
        "50051": str(free_port()),
        "9100": str(free_port()),
        "http://localhost:4317": otlp_receiver.address,
        "tracing_sample: 0.01": "tracing_sample: 1",
    }
    for written, here in places.items():
        assert written in page
        page = page.replace(written, here)
    (settings,) = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    models = f"models: {repository_root / 'models'}\nprofile_seconds: 0\n"
    (shell.folder / "spyglass.yaml").write_text(f"{settings}port: {places['50051']}\n{models}")
    shutil.copy(repository_root / "examples/chelsea.jpg", shell.folder / "photo.jpg")
    (block,) = re.findall(r"```console\n(.*?)```", page, re.DOTALL)
    commands = [line.removeprefix("$ ") for line in block.splitlines()]
    assert len(commands) == 10

    written = {}
    for command in commands:
        code, output = shell.run(command)
        assert code == 0, (command, output, (shell.folder / "spyglass.yaml").read_text())
        written[command.split()[0] + " " + command.split()[1]] = output

    assert "fail" not in written["spyglass doctor"]
    assert "tiger cat" in written["classify-image photo.jpg"]
    assert re.search(r'code="OK",method="ClassifyStream",model="imagenet"', written["curl --silent"])
    assert "imagenet" in written["spyglass top"]
    eventually(lambda: bool(otlp_receiver.spans))

    classify = next(command for command in commands if command.startswith("classify-image"))
    deadline = time.monotonic() + PATIENCE
    while (ended := shell.run(classify))[0] == 0:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert ended[0] == 1 and "TOKEN_NOT_ACCEPTED" in shell.run(f"{classify} --format jsonl")[1]
    assert shell.end() == 0
    assert "Traceback" not in (shell.folder / "server.log").read_text()
