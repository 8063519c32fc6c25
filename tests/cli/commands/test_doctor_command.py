"""`spyglass doctor`: its lines, its JSON and its exit code."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from spyglass_cli.diagnosing import clock
from spyglass_cli.diagnosing.registry import CHECKS
from spyglass_cli.main import main


@pytest.fixture(autouse=True)
def synchronised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "kernel_state", lambda: 0)


def test_a_good_machine_ends_with_0(
    tiny_models: Path, server: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(
        ["doctor", "--quick", f"--models={tiny_models}", "--port=0", f"--server={server}", "--device=cpu"]
    )

    output = capsys.readouterr().out
    assert code == 0, output
    assert "ok    models: colors/1: the file and its card are valid" in output
    assert f"ok    server: {server} serves " in output
    assert {line[6:].partition(":")[0] for line in output.splitlines()} == set(CHECKS)


def test_a_failed_check_ends_with_1_and_the_others_still_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(
        [
            "doctor",
            f"--models={tmp_path}",
            "--port=0",
            "--format=json",
            "--server=localhost:1",
            "--timeout=0.5",
        ]
    )

    found = json.loads(capsys.readouterr().out)
    assert code == 1
    assert {entry["check"]: entry["status"] for entry in found} | {"models": "fail", "server": "fail"} == {
        entry["check"]: entry["status"] for entry in found
    }
    assert {entry["check"] for entry in found} == set(CHECKS)
    assert all(entry.keys() == {"check", "status", "message", "advice"} for entry in found)


def test_a_warning_alone_ends_with_0(
    tiny_models: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(clock, "kernel_state", lambda: 5)

    assert main(["doctor", "--quick", f"--models={tiny_models}", "--port=0"]) == 0
    assert "warn  clock: " in capsys.readouterr().out


def test_an_invalid_setting_ends_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--port=no"]) == 2
    assert "--port must be a whole number" in capsys.readouterr().err
    with pytest.raises(SystemExit) as ended:
        main(["doctor", "--no-such-flag"])
    assert ended.value.code == 2
