"""Files of tokens: what they hold, and how they change."""

from __future__ import annotations

import stat
import threading
from pathlib import Path
from typing import Any

import pytest

from spyglass_contract.errors import InvalidInput
from spyglass_server.access.entries import TokenFileError, read_entries
from spyglass_server.access.token_file import revoke_entries
from spyglass_server.access.tokens import id_of, is_token_of, new_token

LINE = '{"id": "a1", "name": "n", "scopes": ["admin"], "created": "2026-01-01T00:00:00Z"'


def test_the_file_holds_a_hash_and_no_secret_and_only_its_owner_reads_it(token_file: Any) -> None:
    token = token_file.issue("team-a")

    text = token_file.path.read_text()
    assert token.split("_", 2)[2] not in text
    assert id_of(token) in text
    (entry,) = read_entries(token_file.path)
    assert is_token_of(token, entry.sha256)
    assert stat.S_IMODE(token_file.path.stat().st_mode) == 0o600


def test_tokens_have_256_random_bits() -> None:
    tokens = {new_token()[0] for _ in range(1000)}

    assert len(tokens) == 1000
    assert {len(token.split("_", 2)[2]) for token in tokens} == {43}


def test_writers_at_the_same_time_lose_no_token(token_file: Any) -> None:
    threads = [threading.Thread(target=token_file.issue, args=(f"team-{n}",)) for n in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert {entry.name for entry in read_entries(token_file.path)} == {f"team-{n}" for n in range(20)}
    assert [path.name for path in token_file.path.parent.iterdir()] == [token_file.path.name]


def test_a_link_to_a_file_of_tokens_stays_a_link(token_file: Any, tmp_path: Path) -> None:
    target = tmp_path / "target.jsonl"
    target.touch()
    token_file.path.symlink_to(target)

    token_file.issue()

    assert token_file.path.is_symlink()
    assert len(read_entries(target)) == 1


def test_every_token_of_a_name_is_revoked_or_one_by_its_id(token_file: Any) -> None:
    first, *_ = [token_file.issue("a"), token_file.issue("a"), token_file.issue("b")]

    assert [entry.id for entry in revoke_entries(token_file.path, id_of(first))] == [id_of(first)]
    assert len(revoke_entries(token_file.path, "a")) == 1

    assert [entry.name for entry in read_entries(token_file.path) if not entry.revoked] == ["b"]
    with pytest.raises(InvalidInput, match="no valid entry with the id or name 'a'"):
        revoke_entries(token_file.path, "a")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("not json", "line 1: Invalid JSON"),
        (LINE + "}", "line 1: Value error, expected either sha256 or certificate"),
        (f'{LINE}, "certificate": "x", "sha256": "{"0" * 64}"}}', "either sha256 or certificate"),
        (f'{LINE}, "certificate": "x", "other": 1}}', "line 1, other: Extra inputs"),
        (LINE.replace("admin", "root") + ', "certificate": "x"}', "a scope must be classify"),
        (LINE.replace('"n"', '"ipv4:10.0.0.1"') + ', "certificate": "x"}', "line 1, name"),
        (f'{LINE}, "certificate": "x", "limits": {{"streams": -1}}}}', "line 1, limits.streams"),
        (
            f'{LINE}, "certificate": "x"}}\n\n{LINE}, "certificate": "y"}}',
            "line 3: another line has the id",
        ),
        (
            f'{LINE}, "certificate": "x"}}\n{LINE.replace("a1", "a2")}, "certificate": "x"}}',
            "line 2: another line has the same certificate",
        ),
        (LINE.replace("00Z", "00") + ', "certificate": "x"}', "line 1, created"),
    ],
)
def test_an_invalid_file_is_rejected_with_the_place_of_the_fault(
    tmp_path: Path, text: str, message: str
) -> None:
    path = tmp_path / "tokens.jsonl"
    path.write_text(text)

    with pytest.raises(TokenFileError, match=message):
        read_entries(path)


def test_an_error_quotes_nothing_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "tokens.jsonl"
    path.write_text(LINE + ', "sha256": "my-secret-token"}')

    with pytest.raises(TokenFileError) as raised:
        read_entries(path)

    assert "my-secret" not in str(raised.value)


def test_a_missing_file_is_an_error_that_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(TokenFileError, match="No such file or directory; `spyglass token new` makes"):
        read_entries(tmp_path / "none.jsonl")
