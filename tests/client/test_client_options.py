"""The value objects that say how a client behaves."""

from __future__ import annotations

from pathlib import Path

import pytest

from spyglass_client import Credentials, InvalidInput, Retry, Timeout


@pytest.mark.parametrize("wrong", [{"call": 0}, {"call": -1.0}, {"connect": 0}])
def test_a_timeout_of_nothing_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="call > 0"):
        Timeout(**wrong)


@pytest.mark.parametrize(
    "wrong",
    [{"attempts": 0}, {"initial_backoff": 0}, {"initial_backoff": 9, "max_backoff": 1}, {"jitter": 1.5}],
)
def test_retries_that_make_no_sense_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="attempts >= 1"):
        Retry(**wrong)  # type: ignore[arg-type]


def test_a_token_does_not_show_when_credentials_are_printed() -> None:
    assert "s3cret" not in repr(Credentials(token="s3cret"))


@pytest.mark.parametrize("token", ["two\nlines", "ünïcode", "bell\a"])
def test_a_token_that_cannot_travel_is_refused_without_being_shown(token: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        Credentials(token=token)
    assert token not in caught.value.message


def test_credentials_come_from_files(tmp_path: Path) -> None:
    (tmp_path / "token").write_text(" s3cret\n")
    (tmp_path / "ca.pem").write_bytes(b"PEM")
    credentials = Credentials.from_files(token=tmp_path / "token", ca=tmp_path / "ca.pem")
    assert credentials == Credentials(token="s3cret", ca=b"PEM")
    assert credentials.encrypted


def test_without_files_there_is_no_token_and_no_encryption() -> None:
    assert Credentials.from_files() == Credentials()
    assert not Credentials().encrypted


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"token: No such file"):
        Credentials.from_files(token=tmp_path / "token")
