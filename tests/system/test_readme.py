"""The code and commands of the README give the output that it shows."""

from __future__ import annotations

import contextlib
import io
import re
import shlex
from pathlib import Path

import pytest

from spyglass_cli.commands import classify_image
from spyglass_server.server import Server
from spyglass_server.settings import ServerSettings


@pytest.fixture(scope="module")
def readme(repository_root: Path) -> str:
    return (repository_root / "README.md").read_text()


def test_the_python_of_the_readme_runs_and_names_the_images(
    readme: str, repository_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, _ = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
    server = Server(ServerSettings(models=repository_root / "models", port=0, profile_seconds=0))
    server.start()
    monkeypatch.chdir(repository_root)
    printed = io.StringIO()
    try:
        with contextlib.redirect_stdout(printed):
            exec(code.replace("localhost:50051", f"localhost:{server.port}"), {})
    finally:
        server.stop()
    first, *others = printed.getvalue().splitlines()
    assert first.startswith("tiger cat 0.38")
    assert others == ["tiger cat", "espresso", "IMAGE_UNRECOGNISED"]


def test_the_python_without_a_server_gives_the_same(
    readme: str,
    repository_root: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    _, code = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
    monkeypatch.chdir(repository_root)
    exec(code, {})
    assert capsys.readouterr().out == "tiger cat\n"


def test_the_first_command_of_the_readme_prints_the_table_of_the_readme(
    readme: str,
    repository_root: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (command, shown) = re.findall(r"```console\n\$ (classify-image .*?)\n(.*?)```", readme, re.DOTALL)[0]
    monkeypatch.chdir(repository_root)
    assert classify_image.main(shlex.split(command)[1:]) == 0
    printed = capsys.readouterr().out
    assert _cells(shown)
    assert _cells(printed) >= _cells(shown)


def _cells(table: str) -> set[tuple[str, ...]]:
    """Return the rows of a table that hold a percentage, each as a tuple of cells without padding."""
    rows = {tuple(re.split(r"\s{2,}", line.strip())) for line in table.splitlines()}
    return {row for row in rows if any("%" in cell for cell in row)}
