"""Which hosts only this machine reaches, and what a server says if others reach it."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from spyglass_contract.errors import InvalidInput
from spyglass_server.server import Server
from spyglass_server.settings import ServerSettings, load_settings
from spyglass_server.tls.exposure import is_loopback


@pytest.mark.parametrize(
    "host",
    ["localhost", "LOCALHOST.", "127.0.0.1", "127.9.9.9", "[::1]", "[::ffff:127.0.0.1]", "unix:/run/x"],
)
def test_only_this_machine_reaches_a_loopback_host(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host", ["[::]", "0.0.0.0", "10.0.0.1", "example.org", "[2001:db8::1]", "localhost.org"]
)
def test_others_may_reach_every_other_host(host: str) -> None:
    assert not is_loopback(host)


def test_without_tls_a_server_listens_to_this_machine() -> None:
    assert load_settings([]).listen_address == "localhost:50051"


def test_with_tls_it_listens_to_all() -> None:
    settings = load_settings(["--tls-certificate", "a.pem", "--tls-key", "a.key"])
    assert settings.listen_address == "[::]:50051"


@pytest.mark.parametrize(
    ("flags", "other"),
    [
        (["--tls-certificate", "a"], "--tls-key"),
        (["--tls-key", "a"], "--tls-certificate"),
        (["--tls-client-ca", "a"], "--tls-certificate"),
    ],
)
def test_a_part_of_tls_is_an_error(flags: list[str], other: str) -> None:
    with pytest.raises(InvalidInput, match=f"{flags[0]} needs {other}"):
        load_settings(flags)


@pytest.mark.parametrize(("host", "warned"), [("0.0.0.0", True), ("localhost", False)])
def test_an_open_server_warns(
    host: str, warned: bool, tiny_models: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        server = Server(ServerSettings(models=[tiny_models], host=host, port=0))
    server.stop(grace=0)
    assert any("everyone who reaches" in record.message for record in caplog.records) is warned


def test_with_tokens_it_listens_to_all_and_warns_that_they_are_not_encrypted(
    tiny_models: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "tokens.jsonl").touch()
    settings = ServerSettings(models=[tiny_models], port=0, tokens=tmp_path / "tokens.jsonl")

    Server(settings).stop(grace=0)

    assert settings.effective_host == "[::]"
    assert any("without encryption" in record.message for record in caplog.records)


@pytest.mark.parametrize(("host", "warned"), [("0.0.0.0", True), ("localhost", False)])
def test_a_server_whose_models_all_may_change_warns(
    host: str, warned: bool, tiny_models: Path, caplog: pytest.LogCaptureFixture
) -> None:
    Server(ServerSettings(models=[tiny_models], host=host, port=0, admin=True)).stop(grace=0)

    assert any("may change the models" in record.message for record in caplog.records) is warned
