"""`spyglass sign`: it makes keys and signs models."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from spyglass_cli.main import main
from spyglass_contract.model_files.rules import FileRules
from spyglass_contract.model_files.signature import TrustedKeys


def test_a_new_key_signs_a_folder_of_a_model(
    make_model: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    key, path = tmp_path / "team.key", make_model()

    assert main(["sign", "--new-key", str(key), "--no-password"]) == 0
    assert f"--require-signature {tmp_path}/team.pub" in capsys.readouterr().out
    assert main(["sign", str(path.parent), "--key", str(key)]) == 0

    assert capsys.readouterr().out == f"signed {path}\n"
    FileRules(keys=TrustedKeys([str(tmp_path / "team.pub")])).open(path)


def test_the_password_of_a_key_can_be_in_a_file(make_model: Callable[..., Path], tmp_path: Path) -> None:
    key, password = tmp_path / "team.key", tmp_path / "password"
    password.write_text("correct horse\n")

    assert main(["sign", "--new-key", str(key), "--password-file", str(password)]) == 0
    assert main(["sign", str(make_model()), "--key", str(key), "--password-file", str(password)]) == 0
    password.write_text("battery staple\n")
    assert main(["sign", str(tmp_path), "--key", str(key), "--password-file", str(password)]) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--key", "missing.key", "model.onnx"], "missing.key cannot be read"),
        (["--key", "model.onnx"], "needs one or more model files"),
        (["--key", "text", "model.onnx"], "is not a secret key of minisign"),
        (["--new-key", "a.key"], "pass --password-file"),
        (["--new-key", "a.pub", "--no-password"], "needs another suffix"),
        (["--new-key", "text", "--no-password"], "text exists"),
        (["--new-key", "a.key", "--no-password", "model.onnx"], "--new-key signs nothing"),
    ],
)
def test_wrong_usage_ends_with_2_and_says_what_to_do(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("text").write_text("no key")

    assert main(["sign", *arguments]) == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.glob("a.*"))


def test_a_file_that_is_no_model_is_not_signed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    key, path = tmp_path / "team.key", tmp_path / "model.onnx"
    path.write_bytes(b"no model")
    main(["sign", "--new-key", str(key), "--no-password"])

    assert main(["sign", str(path), "--key", str(key)]) == 1
    assert "no ONNX model" in capsys.readouterr().err
