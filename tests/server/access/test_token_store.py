"""The tokens in memory, and how they follow their file."""

from __future__ import annotations

import logging
import time
from typing import Any

import pytest

from spyglass_server.access import token_store
from spyglass_server.access.token_file import revoke_entries
from spyglass_server.access.token_store import TokenStore


@pytest.fixture
def looks_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(token_store, "_LOOK_SECONDS", 0.0)


def test_only_the_whole_token_is_accepted(token_file: Any) -> None:
    token, other = token_file.issue("a"), token_file.issue("b")
    store = TokenStore(token_file.path)

    assert store.of_token(token).name == "a"
    wrong = [
        "", "spg_", "spg__", token[:-1], token + "x", token.upper(), token[4:], " " + token,
        "_".join([*other.split("_", 2)[:2], token.split("_", 2)[2]]),
        "spg_" + "x" * 100_000, "spg_unknown_secret", "\udcff", token.replace("spg", "spü"),
    ]  # fmt: skip
    assert [store.of_token(text) for text in wrong] == [None] * len(wrong)


def test_a_token_ends_when_it_expires(token_file: Any) -> None:
    token = token_file.issue(expires_in=0.2)
    store = TokenStore(token_file.path)
    identity = store.of_token(token)

    assert identity and store.is_current(identity)
    time.sleep(0.25)

    assert store.of_token(token) is None
    assert not store.is_current(identity)


@pytest.mark.usefixtures("looks_at_once")
def test_changes_of_the_file_are_seen(token_file: Any) -> None:
    token = token_file.issue("a")
    store = TokenStore(token_file.path)
    identity = store.of_token(token)
    assert not store.refresh()

    new = token_file.issue("b")
    assert store.refresh()
    assert store.of_token(new).name == "b"
    assert store.is_current(identity)

    revoke_entries(token_file.path, "a")
    assert store.refresh()
    assert store.of_token(token) is None
    assert not store.is_current(identity)


def test_the_file_is_looked_at_once_a_second_at_most(token_file: Any) -> None:
    token_file.issue("a")
    store = TokenStore(token_file.path)
    token_file.issue("b")

    assert not store.refresh()


@pytest.mark.usefixtures("looks_at_once")
@pytest.mark.parametrize("ruin", [lambda path: path.unlink(), lambda path: path.write_text('{"id": "ha')])
def test_a_missing_or_half_written_file_keeps_the_last_tokens_with_one_line(
    token_file: Any, ruin: Any, caplog: pytest.LogCaptureFixture
) -> None:
    token = token_file.issue("a")
    store = TokenStore(token_file.path)

    ruin(token_file.path)

    assert [store.refresh() for _ in range(3)] == [False] * 3
    assert store.of_token(token)
    assert len([line for line in caplog.messages if "stay as they are" in line]) == 1

    token_file.path.unlink(missing_ok=True)
    new = token_file.issue("b")
    assert store.refresh()
    assert store.of_token(new)
    assert store.of_token(token) is None


def test_a_file_that_every_user_can_read_gets_a_warning(
    token_file: Any, caplog: pytest.LogCaptureFixture
) -> None:
    token_file.issue()
    TokenStore(token_file.path)
    assert not caplog.messages
    token_file.path.chmod(0o644)

    with caplog.at_level(logging.WARNING):
        TokenStore(token_file.path)

    assert "expected mode 600, not 644" in caplog.text


def test_a_certificate_is_found_by_each_of_its_names(token_file: Any) -> None:
    token_file.accept("spiffe://team/a", "a")
    store = TokenStore(token_file.path)

    assert store.of_certificate(["other", "spiffe://team/a"]).name == "a"
    assert store.of_certificate(["other"]) is None
    revoke_entries(token_file.path, "a")
    assert TokenStore(token_file.path).of_certificate(["spiffe://team/a"]) is None
