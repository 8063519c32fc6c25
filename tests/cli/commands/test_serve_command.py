"""The help and the usage errors of `spyglass serve`."""

from __future__ import annotations

import re

import pytest

from spyglass_cli.main import main
from spyglass_server.settings import ServerSettings


def test_help_has_a_plain_line_for_each_setting(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    with pytest.raises(SystemExit) as ended:
        main(["serve", "--help"])
    assert ended.value.code == 0
    printed = capsys.readouterr().out
    for name in ServerSettings.model_fields:
        assert f"  --{name.replace('_', '-')} " in printed
    assert "--port N " in printed and "(default: 50051)" in printed
    assert "--versions VERSIONS" in printed
    assert not re.findall(r"list\[|Path|\b(?:int|str|float|None)\b|factory|Undefined|Annotated", printed)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--prot", "1"], "unrecognized arguments: --prot 1"),
        (["--port", "1", "--port", "2"], "argument --port: it is given twice"),
        (["--port"], "argument --port: expected one argument"),
    ],
)
def test_an_invalid_flag_ends_the_command_with_2(
    flags: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["serve", *flags])
    assert ended.value.code == 2
    assert message in capsys.readouterr().err


def test_an_invalid_value_is_one_line_without_the_words_of_a_library(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["serve", "--versions", "new"]) == 2
    assert (
        capsys.readouterr().err
        == "spyglass serve: --versions must be latest, latest:N or all, and NAME:VERSION for each version "
        "of a list, not 'new'\n"
    )
    monkeypatch.setenv("SPYGLASS_LOG_LEVEL", "loud")
    assert main(["serve"]) == 2
    expected = "spyglass serve: SPYGLASS_LOG_LEVEL must be debug, info, warning or error, not 'loud'\n"
    assert capsys.readouterr().err == expected
