"""`spyglass token`, on files of tokens."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from spyglass_cli.main import main
from spyglass_contract.files import write_whole
from spyglass_server.access.token_store import TokenStore


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tokens.jsonl"


def new(path: Path, *arguments: str) -> int:
    return main(["token", "new", *arguments, str(path)])


def test_a_new_token_is_printed_once_and_is_accepted_by_a_server(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    limits = ["--requests-per-second", "5", "--streams", "0"]
    assert new(path, "--name", "a", "--scope", "classify", "--scope", "model:team-*", *limits) == 0
    printed = capsys.readouterr()

    token = printed.out.strip()
    assert re.fullmatch(r"spg_[0-9a-f]{12}_[\w-]{43}", token)
    assert token not in printed.err
    identity = TokenStore(path).of_token(token)
    assert identity
    assert (identity.name, identity.scopes.tasks, identity.scopes.models) == ("a", {"classify"}, ("team-*",))
    assert (identity.limits.requests_per_second, identity.limits.streams) == (5, 0)
    assert identity.limits.concurrent_calls is None

    assert main(["token", "list", str(path)]) == 0
    listed = capsys.readouterr().out
    assert token.split("_", 2)[1] in listed
    assert token.split("_", 2)[2] not in listed


def test_a_revoked_token_is_not_accepted(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    new(path, "--name", "a", "--scope", "classify", "--scope", "model:*", "--expires", "90d")
    token = capsys.readouterr().out.strip()
    assert TokenStore(path).of_token(token)

    assert main(["token", "revoke", "a", str(path)]) == 0

    assert "revoked: a, id" in capsys.readouterr().out
    assert TokenStore(path).of_token(token) is None


def test_a_client_certificate_is_accepted_in_place_of_a_token(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert new(path, "--name", "a", "--scope", "admin", "--certificate", "spiffe://a") == 0

    assert "spg_" not in capsys.readouterr().out
    identity = TokenStore(path).of_certificate(["spiffe://a"])
    assert identity and identity.scopes.admin


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--name", "a", "--scope", "classify"], "--scope: these scopes allow no request: add model:GLOB"),
        (["--name", "a"], "--scope: no scope; expected classify, segment, heatmap, admin or model:GLOB"),
        (["--name", "a:b", "--scope", "admin"], "--name must be 1 to 64 letters"),
        (["--name", "a", "--scope", "admin", "--expires", "9999999d"], "before the year 10000"),
        (["--name", "a", "--scope", "admin", "--certificate", ""], "--certificate"),
    ],
)
def test_an_entry_that_makes_no_caller_is_rejected(
    path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert new(path, *arguments) == 2

    assert message in capsys.readouterr().err
    assert not path.exists()


def test_an_invalid_file_is_kept_as_it_is(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_whole(path, "not json\n")

    assert new(path, "--name", "a", "--scope", "admin") == 1

    assert "line 1: Invalid JSON" in capsys.readouterr().err
    assert path.read_text() == "not json\n"
