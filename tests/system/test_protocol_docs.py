"""The commands of the page about protocols, run in an empty folder."""

from __future__ import annotations

import importlib.util
import re
import shutil
import time
from pathlib import Path

import pytest

from documented_commands import PATIENCE, Shell, free_port

pytestmark = pytest.mark.slow


def block(page: str, kind: str) -> str:
    (found,) = re.findall(rf"```{kind}\n(.*?)```", page, re.DOTALL)
    return str(found)


@pytest.mark.skipif(not importlib.util.find_spec("tritonclient"), reason="needs tritonclient")
def test_the_commands_of_open_inference_classify_an_image(shell: Shell, repository_root: Path) -> None:
    text = (repository_root / "docs/protocols.md").read_text()
    page = text.partition("\n## Open Inference Protocol v2 over gRPC\n")[2].partition("\n## ")[0]
    page = page.replace("50051", str(free_port()))
    (shell.folder / "classify.py").write_text(block(page, "python"))
    shutil.copy(repository_root / "examples/chelsea.jpg", shell.folder / "photo.jpg")
    start, install, classify = (line.removeprefix("$ ") for line in block(page, "console").splitlines())
    assert install == "pip install 'tritonclient[grpc]'"
    # A measurement of the models would go on while the server stops.
    shell.environment["SPYGLASS_PROFILE_SECONDS"] = "0"

    shell.run(start)
    ends = time.monotonic() + PATIENCE
    while (ended := shell.run(classify))[0] != 0:
        assert time.monotonic() < ends, ended[1]
        time.sleep(0.2)

    lines = ended[1].splitlines()
    assert len(lines) == 4 and lines[0].endswith(":282:tiger cat") and lines[3] == "version 1"
    assert shell.end() == 0
