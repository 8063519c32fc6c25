"""How the credentials of a server follow their files, and what they log."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from spyglass_server import watched_files
from spyglass_server.tls import reloading
from spyglass_server.tls.files import TlsFiles
from spyglass_server.tls.reloading import ReloadingCredentials


def issue(files: TlsFiles, authority, *, begins: timedelta = timedelta(0), ends: timedelta) -> None:
    """Write a pair that is valid from `begins` to `ends`, from now on."""
    now = datetime.now(UTC)
    issued = authority.ca.issue_cert("localhost", not_before=now + begins, not_after=now + ends)
    files.key.write_bytes(issued.private_key_pem.bytes())
    files.certificate.write_bytes(issued.cert_chain_pems[0].bytes())


def lines(caplog: pytest.LogCaptureFixture, text: str) -> list[str]:
    return [message for message in caplog.messages if text in message]


def test_a_change_is_handed_over_once(files: TlsFiles, authority) -> None:
    credentials = ReloadingCredentials(files)
    assert credentials.changed() is None
    issue(files, authority, ends=timedelta(days=90))
    assert credentials.changed() is not None
    assert credentials.changed() is None


def test_a_change_that_is_seen_between_handshakes_is_handed_over_at_the_next_one(
    files: TlsFiles, authority
) -> None:
    credentials = ReloadingCredentials(files)
    issue(files, authority, ends=timedelta(days=90))
    credentials.tick()
    # Metrics show the new one although no client has connected.
    assert credentials.seconds_left == pytest.approx(90 * 86400, abs=60)
    assert credentials.changed() is not None
    assert credentials.changed() is None


def test_changed_authorities_of_clients_are_a_change(files: TlsFiles, authority, tmp_path: Path) -> None:
    client_ca = tmp_path / "clients.pem"
    client_ca.write_bytes(authority.pem.read_bytes())
    credentials = ReloadingCredentials(replace(files, client_ca=client_ca))
    assert credentials.changed() is None
    client_ca.write_bytes(authority.pem.read_bytes() * 2)
    assert credentials.changed() is not None


def test_files_that_cannot_be_used_are_logged_once(
    files: TlsFiles, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watched_files, "_COARSE_SECONDS", 0.0)
    credentials = ReloadingCredentials(files)
    key = files.key.read_bytes()
    files.key.unlink()
    for _ in range(3):
        assert credentials.changed() is None
    assert len(lines(caplog, "stays as it is")) == 1
    files.key.write_bytes(b"")
    for _ in range(3):
        assert credentials.changed() is None
    assert len(lines(caplog, "stays as it is")) == 2
    files.key.write_bytes(key)
    assert credentials.changed() is None
    assert credentials.seconds_left > 0


@pytest.mark.slow
def test_a_certificate_of_the_future_is_used_when_it_is_valid(
    files: TlsFiles, authority, monkeypatch: pytest.MonkeyPatch, eventually: Callable[..., None]
) -> None:
    monkeypatch.setattr(watched_files, "_COARSE_SECONDS", 0.05)
    credentials = ReloadingCredentials(files)
    issue(files, authority, begins=timedelta(seconds=1), ends=timedelta(days=90))
    assert credentials.changed() is None
    eventually(lambda: credentials.changed() is not None)


def test_a_certificate_that_ends_soon_gets_one_warning_a_day(
    files: TlsFiles, authority, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    issue(files, authority, ends=timedelta(days=13))
    credentials = ReloadingCredentials(files)
    for _ in range(3):
        credentials.tick()
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert lines(caplog, "expires in 13.0 days")
    monkeypatch.setattr(reloading, "_DAY_SECONDS", 0.0)
    credentials.tick()
    assert len(caplog.records) == 2


@pytest.mark.slow
def test_a_certificate_that_ends_while_it_is_in_use_is_an_error(
    files: TlsFiles,
    authority,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    eventually: Callable[..., None],
) -> None:
    monkeypatch.setattr(reloading, "_DAY_SECONDS", 0.0)
    issue(files, authority, ends=timedelta(seconds=2))
    credentials = ReloadingCredentials(files)

    def has_expired() -> bool:
        credentials.tick()
        return bool(lines(caplog, "has expired, and clients refuse it"))

    eventually(has_expired)
    assert credentials.seconds_left < 0


def test_a_new_certificate_ends_the_warnings(
    files: TlsFiles, authority, caplog: pytest.LogCaptureFixture
) -> None:
    issue(files, authority, ends=timedelta(days=1))
    credentials = ReloadingCredentials(files)
    credentials.tick()
    issue(files, authority, ends=timedelta(days=90))
    with caplog.at_level(logging.INFO):
        credentials.tick()
    assert len(lines(caplog, "expires in")) == 1
    assert len(lines(caplog, "was read again")) == 1
