"""The value objects with the options of a client."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spyglass_client import AsyncClient, Client, Credentials, InvalidInput, Retry, Timeout

NO_TIMES = [0, -1.0, math.nan, -math.inf, "30", True, [30]]


@pytest.mark.parametrize("field", ["call", "connect"])
@pytest.mark.parametrize("wrong", NO_TIMES, ids=repr)
def test_an_invalid_timeout_is_rejected(field: str, wrong: Any) -> None:
    with pytest.raises(ValueError, match="call > 0"):
        Timeout(**{field: wrong})


@pytest.mark.parametrize("wrong", NO_TIMES, ids=repr)
def test_the_timeout_of_one_call_is_validated_in_the_same_way(wrong: Any) -> None:
    with pytest.raises(InvalidInput, match="timeout must be a positive number of seconds") as caught:
        Timeout().override(wrong)
    assert (caught.value.reason, caught.value.field) == ("TIMEOUT_INVALID", "timeout")


@pytest.mark.parametrize("endless", [math.inf, 1e300, 10**400, np.float64("inf")], ids=repr)
def test_an_endless_timeout_is_no_limit(endless: float) -> None:
    assert Timeout(call=endless).override(None) is None
    assert Timeout().override(endless) is None
    assert Timeout(call=None).override(None) is None


@pytest.mark.parametrize("seconds", [7, 0.5, np.float32(2), Fraction(1, 3), 1e8])
def test_any_other_number_of_seconds_is_the_limit(seconds: float) -> None:
    assert Timeout().override(seconds) == pytest.approx(float(seconds))


@pytest.mark.parametrize(
    "endless",
    [{"call": math.inf}, {"connect": math.inf}, {"call": 1e300, "connect": 1e300}, {"call": 3e8}],
    ids=str,
)
def test_calls_and_streams_work_with_an_endless_timeout(
    serve: Callable[..., str], connect: Callable[..., Any], fake_vision: Callable[..., Any], endless: Any
) -> None:
    client = connect(serve(fake_vision()), timeout=Timeout(**endless))
    assert client.classify(b"image").best.name == "cat"
    assert client.models()
    assert [result.best.name for result in client.classify_many([b"image"] * 3)] == ["cat"] * 3


@pytest.mark.parametrize("endless", [math.inf, 1e300, 3e8])
def test_one_call_may_have_an_endless_timeout(
    serve: Callable[..., str], connect: Callable[..., Any], fake_vision: Callable[..., Any], endless: float
) -> None:
    client = connect(serve(fake_vision()))
    assert client.classify(b"image", timeout=endless).best.name == "cat"
    assert [r.best.name for r in client.classify_many([b"image"] * 3, timeout=endless)] == ["cat"] * 3


@pytest.mark.parametrize("wrong", [0, -1, math.nan])
def test_a_call_or_stream_with_a_timeout_of_zero_is_rejected_before_it_is_sent(
    serve: Callable[..., str], connect: Callable[..., Any], fake_vision: Callable[..., Any], wrong: float
) -> None:
    vision = fake_vision()
    client = connect(serve(vision))
    with pytest.raises(InvalidInput):
        client.classify(b"image", timeout=wrong)
    with pytest.raises(InvalidInput):
        list(client.classify_many([b"image"], timeout=wrong))
    assert vision.requests == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"attempts": 0},
        {"max_backoff": math.inf},
        {"initial_backoff": math.nan},
        {"initial_backoff": 0},
        {"initial_backoff": 9, "max_backoff": 1},
        {"jitter": 1.5},
    ],
)
def test_invalid_retries_are_rejected(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="attempts >= 1"):
        Retry(**wrong)  # type: ignore[arg-type]


def test_printed_credentials_do_not_show_the_token() -> None:
    assert "s3cret" not in repr(Credentials(token="s3cret"))


@pytest.mark.parametrize("token", ["two\nlines", "ünïcode", "bell\a"])
def test_an_invalid_token_is_rejected_without_being_shown(token: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        Credentials(token=token)
    assert token not in caught.value.message


def test_credentials_come_from_files(tmp_path: Path) -> None:
    (tmp_path / "token").write_text(" s3cret\n")
    (tmp_path / "ca.pem").write_bytes(b"-----BEGIN CERTIFICATE-----")
    credentials = Credentials.from_files(token=tmp_path / "token", ca=tmp_path / "ca.pem")
    assert credentials == Credentials(token="s3cret", ca=b"-----BEGIN CERTIFICATE-----")
    assert credentials.encrypted


@pytest.mark.parametrize(
    "parts",
    [
        {"ca": b"DER"},
        {"certificate": b"-----BEGIN CERTIFICATE-----"},
        {"key": b"-----BEGIN PRIVATE KEY-----"},
        {"certificate": b"", "key": b"-----BEGIN PRIVATE KEY-----"},
        {"certificate": b"-----BEGIN CERTIFICATE-----", "key": b"-----BEGIN ENCRYPTED PRIVATE KEY-----"},
        {"certificate": b"-----BEGIN ", "key": b"-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED"},
    ],
)
def test_certificates_that_cannot_be_used_are_rejected(parts: dict[str, bytes]) -> None:
    with pytest.raises(InvalidInput) as caught:
        Credentials(**parts)
    assert caught.value.reason == "CERTIFICATE_INVALID"


def test_a_client_certificate_turns_tls_on() -> None:
    pem = b"-----BEGIN "
    assert Credentials(certificate=pem, key=pem).encrypted


def test_the_name_of_a_server_turns_tls_on() -> None:
    assert Credentials(server_name="vision.example").encrypted


@pytest.mark.parametrize("make", [Client, AsyncClient])
@pytest.mark.parametrize("address", ["vision.example", "http://10.0.0.7:50051", "localhost,10.0.0.7"])
def test_a_token_goes_to_another_machine_only_with_tls(make: type[Client], address: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        make(address, credentials=Credentials(token="s3cret"))
    assert caught.value.reason == "TOKEN_NOT_ENCRYPTED"
    assert "s3cret" not in caught.value.message


@pytest.mark.parametrize(
    ("address", "credentials"),
    [
        ("vision.example", Credentials(token="t", tls=True)),
        ("https://vision.example", Credentials(token="t")),
        ("localhost", Credentials(token="t")),
        ("unix:/run/spyglass.sock", Credentials(token="t")),
        ("vision.example", Credentials(token="t", insecure_token=True)),
        ("vision.example", Credentials()),
    ],
)
def test_a_token_that_nobody_else_can_read_or_may_is_sent(address: str, credentials: Credentials) -> None:
    Client(address, credentials=credentials).close()


def test_without_files_there_is_no_token_and_no_tls() -> None:
    assert Credentials.from_files() == Credentials()
    assert not Credentials().encrypted


def test_the_error_of_a_missing_file_names_it(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"token: No such file"):
        Credentials.from_files(token=tmp_path / "token")
