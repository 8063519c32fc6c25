"""`spyglass`: the program of all commands."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from spyglass_cli.main import COMMANDS, main

INSPECT = ("summary", "activations", "filters", "heatmap", "embedding", "augment")
GROUPS: dict[str, list[list[str]]] = {
    "models": [["list"], ["show"]],
    "dataset": [["make-subset"], ["compose"]],
    "inspect": [[name] for name in INSPECT],
}
PATHS = [[command, *rest] for command in COMMANDS for rest in GROUPS.get(command, [[]])]


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    listed = capsys.readouterr().out
    assert all(f" {command} " in listed or f" {command}\n" in listed for command in COMMANDS)


@pytest.mark.parametrize("words", PATHS, ids=" ".join)
def test_every_flag_of_a_command_has_a_line_of_help(
    words: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    with pytest.raises(SystemExit) as ended:
        main([*words, "--help"])
    assert ended.value.code == 0
    printed = capsys.readouterr().out
    flags = re.findall(r"^  -.*(?:\n {6,}.*)*", printed, re.MULTILINE)
    assert flags[0].startswith("  -h, --help ")
    for flag in flags:
        assert re.search(r"\S\s{2,}\S", flag), flag
    assert "==SUPPRESS==" not in printed and "default: None" not in printed


@pytest.mark.parametrize("arguments", [[], ["dance"], ["models"], ["models", "list", "--frob"]])
def test_invalid_usage_ends_with_2(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2


def test_a_command_imports_only_its_own_module() -> None:
    check = (
        "import sys; from spyglass_cli.main import main\n"
        "code = main(['models', 'list', '--server', '127.0.0.1:1', '--timeout', '0.5'])\n"
        "from spyglass_cli import commands\n"
        "others = [name for name in ('train', 'serve') if hasattr(commands, name)]\n"
        "sys.exit(code if not others else str(others))"
    )
    finished = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=False)
    assert finished.returncode == 1
    assert finished.stderr.startswith("spyglass models: the server cannot be reached")
    assert len(finished.stderr.splitlines()) == 1
