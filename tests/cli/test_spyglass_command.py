"""`spyglass`: one name for all commands."""

from __future__ import annotations

import subprocess
import sys

import pytest

from spyglass_cli.flags.extras import MissingExtra, require
from spyglass_cli.main import COMMANDS, main


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    listed = capsys.readouterr().out
    assert all(f" {command} " in listed or f" {command}\n" in listed for command in COMMANDS)


@pytest.mark.parametrize("arguments", [[], ["dance"], ["models"], ["models", "list", "--frob"]])
def test_a_command_that_makes_no_sense_ends_with_2(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2


def test_a_command_imports_no_other_commands_module() -> None:
    check = (
        "import sys; from spyglass_cli.main import main\n"
        "code = main(['models', 'list', '--server', '127.0.0.1:1'])\n"
        "from spyglass_cli import commands\n"
        "others = [name for name in ('train', 'serve') if hasattr(commands, name)]\n"
        "sys.exit(code if not others else str(others))"
    )
    finished = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=False)
    assert finished.returncode == 1
    assert finished.stderr.startswith("spyglass models: the server cannot be reached")
    assert len(finished.stderr.splitlines()) == 1


def test_an_extra_that_is_there_is_not_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    require("server", "grpc")
    assert capsys.readouterr().err == ""


def test_a_missing_extra_ends_the_command_with_2_and_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(MissingExtra, match="this command needs the extra 'training'") as ended:
        require("training", "no_such_module")
    assert ended.value.code == 2
    assert "pip install 'spyglass[training]'" in capsys.readouterr().err
