"""The commands of the page about protocols that speak HTTP, run in an empty folder."""

from __future__ import annotations

import importlib.util
import io
import json
import re
import shutil
import sys
from pathlib import Path

import pytest
from PIL import Image

from documented_commands import Shell, free_port

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not shutil.which("curl"), reason="needs curl"),
]


def test_the_commands_classify_explain_and_segment(shell: Shell, repository_root: Path) -> None:
    text = (repository_root / "docs/protocols.md").read_text()
    text = text.replace("50051", str(free_port())).replace("8080", str(free_port()))
    section = text.partition("\n## HTTP\n")[2]
    (block,) = re.findall(r"```console\n(.*?)```", section.partition("\n## ")[0], re.DOTALL)
    shutil.copy(repository_root / "examples/chelsea.jpg", shell.folder / "photo.jpg")
    outputs = []
    for line in block.splitlines():
        code, output = shell.run(line.removeprefix("$ "))
        assert code == 0, (line, output)
        outputs.append(output)

    _, ready, classified, by_form, by_json, _, _, models, model, _ = outputs
    assert ready == "ok\n"
    for output, count in ((classified, 3), (by_form, 1), (by_json, 1)):
        classes = json.loads(output)["classes"]
        assert len(classes) == count and classes[0]["name"] == "tiger cat"
    for name in ("heatmap.png", "mask.png"):
        with Image.open(io.BytesIO((shell.folder / name).read_bytes())) as drawing:
            assert (drawing.format, drawing.size) == ("PNG", (451, 300))
    assert {entry["name"] for entry in json.loads(models)["models"]} >= {"imagenet", "foreground"}
    assert json.loads(model)["card"]["name"] == "imagenet"
    assert json.loads((shell.folder / "openapi.json").read_text())["openapi"].startswith("3.1")

    if importlib.util.find_spec("geventhttpclient"):
        (script,) = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
        (shell.folder / "classify.py").write_text(script)
        code, output = shell.run(f"{sys.executable} classify.py")
        lines = output.splitlines()
        assert code == 0, output
        assert len(lines) == 4 and lines[0].endswith(":282:tiger cat") and lines[3] == "version 1"
    assert shell.end() == 0
