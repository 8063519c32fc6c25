"""Commands that need packages of an extra."""

from __future__ import annotations

import pytest

from spyglass_cli.flags.extras import MissingExtra, require


def test_an_installed_extra_prints_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    require("server", "grpc")
    assert capsys.readouterr().err == ""


def test_a_missing_extra_is_named_and_ends_the_command_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(MissingExtra, match="this command needs the extra 'training'") as ended:
        require("training", "no_such_module")
    assert ended.value.code == 2
    assert "pip install 'spyglass[training]'" in capsys.readouterr().err
