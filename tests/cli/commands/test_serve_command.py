"""The help and the usage errors of `spyglass serve`."""

from __future__ import annotations

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
    assert "--versions {latest,all}" in printed
    for internal in ("list[", "Path", " int", " str", "float", "None", "factory", "Undefined"):
        assert internal not in printed


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--prot", "1"], "unrecognized arguments: --prot 1"),
        (["--versions", "new"], "argument --versions: invalid choice: 'new'"),
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
