"""Entries of token files, and the files."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from spyglass_server.access.entries import Entry
from spyglass_server.access.token_file import add_entry
from spyglass_server.access.tokens import hash_of, new_token

EVERYTHING = ("classify", "segment", "heatmap", "model:*")


class TokenFile:
    """A file of tokens."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def issue(self, name: str = "team", *scopes: str, expires_in: float | None = None, **fields: Any) -> str:
        """Add a token, which expires in so many seconds, and return it."""
        token, token_id = new_token()
        now = datetime.now(UTC)
        expires = None if expires_in is None else now + timedelta(seconds=expires_in)
        fields = {"sha256": hash_of(token), "expires": expires, **fields}
        add_entry(
            self.path,
            Entry(id=token_id, name=name, scopes=scopes or EVERYTHING, created=now, **fields),
        )
        return token

    def accept(self, certificate: str, name: str = "team", *scopes: str) -> None:
        """Add a client certificate."""
        self.issue(name, *scopes, sha256=None, certificate=certificate)


@pytest.fixture
def make_token_file(tmp_path: Path) -> Callable[[], TokenFile]:
    return lambda: TokenFile(tmp_path / "tokens.jsonl")


@pytest.fixture
def token_file(make_token_file: Callable[[], TokenFile]) -> TokenFile:
    """A file of tokens; it does not exist before the first one is issued."""
    return make_token_file()
