"""The commands and the Python of docs/models.md, run in their order in an empty folder."""

from __future__ import annotations

import contextlib
import io
import re
import shutil
from pathlib import Path

import pytest

from documented_commands import Shell, free_port, wait_for_port
from spyglass_contract.model.card import card_from_metadata, write_card

pytestmark = pytest.mark.slow


def copy_as(source: Path, root: Path, name: str, version: int) -> None:
    """Copy a model file to NAME/VERSION/model.onnx below `root`, with that name and version in its card."""
    onnx = pytest.importorskip("onnx")
    model = onnx.load(str(source))
    card = card_from_metadata({entry.key: entry.value for entry in model.metadata_props})
    card.name, card.version = name, version
    write_card(model, card)
    target = root / name / str(version) / "model.onnx"
    target.parent.mkdir(parents=True)
    onnx.save(model, str(target))


def test_the_commands_of_the_page_lead_from_a_new_version_to_a_rollback(
    shell: Shell, repository_root: Path
) -> None:
    page = (repository_root / "docs/models.md").read_text()
    mnist = repository_root / "models/mnist-convnet/1/model.onnx"
    copy_as(mnist, shell.folder / "my-models", "digits", 1)
    copy_as(mnist, shell.folder / "new", "digits", 2)
    shutil.copy(repository_root / "examples/chelsea.jpg", shell.folder / "photo.jpg")
    port = str(free_port())
    # The page uses the default port.
    shell.environment |= {
        "SPYGLASS_PORT": port,
        "SPYGLASS_SERVER": f"localhost:{port}",
        "SPYGLASS_PROFILE_SECONDS": "0",
    }
    (block,) = (text for text in re.findall(r"```console\n(.*?)```", page, re.DOTALL) if "--admin &" in text)
    commands = [line.removeprefix("$ ") for line in block.splitlines()]
    assert len(commands) == 16

    written = {}
    for number, command in enumerate(commands):
        command = command.replace("50051", port)
        code, output = shell.run(command)
        assert code == 0, (command, output, (shell.folder / "server.log").read_text())
        written[number, command.split()[-1]] = output

    outputs = list(written.values())
    assert re.search(r"digits:2 +serving", outputs[4])
    listed = outputs[8]
    assert re.search(r"digits:1 +serving +stable +10 % of stable to canary, by request", listed)
    assert re.search(r"digits:2 +serving +canary", listed)
    assert re.search(r"stable +2", outputs[10])
    assert re.search(r"stable +1", outputs[11])
    assert "has the label stable" in outputs[13] and "it has the label stable" in outputs[13]
    assert re.search(r"stable +2", outputs[14])

    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(code.replace("localhost:50051", f"localhost:{port}"), {})
    assert printed.getvalue() == "{'canary': 2, 'stable': 2}\n"
    assert shell.end() == 0
    assert "Traceback" not in (shell.folder / "server.log").read_text()


def test_the_commands_of_the_page_serve_a_repository_of_a_web_server(
    shell: Shell, repository_root: Path
) -> None:
    page = (repository_root / "docs/models.md").read_text()
    mnist = repository_root / "models/mnist-convnet/1/model.onnx"
    copy_as(mnist, shell.folder / "my-models", "digits", 1)
    port, web_port = str(free_port()), str(free_port())
    shell.environment |= {
        "SPYGLASS_PORT": port,
        "SPYGLASS_SERVER": f"localhost:{port}",
        "SPYGLASS_PROFILE_SECONDS": "0",
    }
    (block,) = (
        text for text in re.findall(r"```console\n(.*?)```", page, re.DOTALL) if "http.server" in text
    )
    outputs = []
    for line in block.splitlines():
        command = line.removeprefix("$ ").replace("8000", web_port).replace("seconds 5", "seconds 0.2")
        code, output = shell.run(command)
        assert code == 0, (command, output, (shell.folder / "server.log").read_text())
        outputs.append(output)
        if "http.server" in command:
            wait_for_port(int(web_port))

    assert outputs[0] == "my-models/models.json: versions: 1, files: 1\n"
    assert re.search(r"digits:1 +serving", outputs[-1])
    (copy,) = (shell.folder / "copies/versions").glob("*/files/digits/1/model.onnx")
    assert copy.read_bytes() == (shell.folder / "my-models/digits/1/model.onnx").read_bytes()

    # A new version serves when the index has it, and the server says which.
    copy_as(mnist, shell.folder / "my-models", "digits", 2)
    assert shell.run("spyglass models index my-models")[0] == 0
    waited = "until spyglass models list | grep -E 'digits:2 +serving'; do sleep 0.1; done"
    assert shell.run(waited)[0] == 0
    assert shell.end() == 0
    assert "Traceback" not in (shell.folder / "server.log").read_text()


def test_the_routing_file_of_the_page_is_one_that_a_server_reads(repository_root: Path) -> None:
    from spyglass_server.engine.models.routing import Routing, Share
    from spyglass_server.engine.models.routing_file import read_routing

    page = (repository_root / "docs/models.md").read_text()
    (content,) = re.findall(r"```json\n(.*?)```", page, re.DOTALL)
    assert read_routing(content.encode(), "digits") == Routing(
        {"stable": 1, "canary": 2}, {"stable": (1,)}, (Share("stable", "canary", 10.0, "request"),)
    )
