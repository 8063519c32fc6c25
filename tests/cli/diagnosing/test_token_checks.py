"""`spyglass doctor` on a file of tokens."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from spyglass_cli.diagnosing.finding import Finding
from spyglass_cli.diagnosing.tokens import check_tokens
from spyglass_cli.main import main

Find = Callable[..., list[Finding]]


@pytest.fixture
def file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """A file with a token for ninety days."""
    path = tmp_path / "tokens.jsonl"
    new(path, "90d")
    capsys.readouterr()
    return path


def new(path: Path, expires: str) -> None:
    arguments = ["--name", "team", "--scope", "classify", "--scope", "model:*", "--expires", expires]
    assert main(["token", "new", *arguments, str(path)]) == 0


def found(findings: list[Finding]) -> list[str]:
    return [f"{finding.status}: {finding.message}" for finding in findings]


def test_a_good_file_is_one_line(find: Find, file: Path) -> None:
    assert found(find(check_tokens, tokens=file, host="localhost")) == [
        "ok: 1 of 1 tokens and certificates are accepted"
    ]


def test_without_a_file_it_says_who_may_call(find: Find) -> None:
    (line,) = found(find(check_tokens))
    assert line.startswith("ok: no tokens: everyone")


def test_a_token_that_ends_soon_is_found(find: Find, file: Path) -> None:
    new(file, "3d")
    lines = found(find(check_tokens, tokens=file, host="localhost"))
    assert lines[0].startswith("ok: 2 of 2")
    assert "of team expires in 3 days" in lines[1]


def test_a_file_without_a_valid_token_is_found(find: Find, file: Path) -> None:
    assert main(["token", "revoke", "team", str(file)]) == 0
    (line,) = found(find(check_tokens, tokens=file, host="localhost"))
    assert line.startswith("warn") and "has no valid token" in line


def test_a_file_that_others_can_read_is_found(find: Find, file: Path) -> None:
    file.chmod(0o644)
    assert any("mode 644" in line for line in found(find(check_tokens, tokens=file, host="localhost")))


def test_tokens_without_encryption_are_found(find: Find, file: Path) -> None:
    lines = found(find(check_tokens, tokens=file, host="0.0.0.0"))
    assert any("travel without encryption" in line for line in lines)


@pytest.mark.parametrize("data", ["{", "[]", '{"id": "a"}'])
def test_a_broken_file_fails(find: Find, file: Path, data: str) -> None:
    file.write_text(data)
    (line,) = found(find(check_tokens, tokens=file, host="localhost"))
    assert line.startswith("fail") and "line 1" in line


def test_a_missing_file_fails(find: Find, tmp_path: Path) -> None:
    (line,) = found(find(check_tokens, tokens=tmp_path / "missing"))
    assert line.startswith("fail") and "spyglass token new" in line
