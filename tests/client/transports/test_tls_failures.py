"""What a client says when it and a server cannot agree on TLS: which of the causes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest

import spyglass_client as sc
from authorities import Authority

Files = tuple[Path, Path]
Reach = Callable[..., sc.Unavailable]


@pytest.fixture
def reach(serve: Callable[..., str], connect: Callable[..., Any], fake_vision: type[Any]) -> Reach:
    """Call a server with this pair, or without TLS; return the error."""

    def call(pair: Files | None, client_ca: Path | None = None, **files: Any) -> sc.Unavailable:
        credentials = None
        if pair:
            shown = [(pair[1].read_bytes(), pair[0].read_bytes())]
            clients = client_ca.read_bytes() if client_ca else None
            credentials = grpc.ssl_server_credentials(shown, clients, client_ca is not None)
        own = sc.Credentials.from_files(**files)
        client = connect(serve(fake_vision(), credentials), credentials=own, retry=sc.Retry(attempts=1))
        with pytest.raises(sc.Unavailable) as caught:
            client.classify(b"image")
        return caught.value

    return call


@pytest.mark.parametrize(
    ("identity", "days", "trusts", "cause"),
    [
        ("localhost", (0, 9), "other", "trusts no authority that has signed the server's certificate"),
        ("vision.example", (0, 9), "own", "certificate is not for this host"),
        ("localhost", (-9, -1), "own", "certificate has expired"),
        ("localhost", (1, 9), "own", "certificate is not valid yet"),
    ],
)
def test_a_certificate_that_the_client_refuses(
    reach: Reach,
    authority: Authority,
    other_authority: Authority,
    identity: str,
    days: tuple[int, int],
    trusts: str,
    cause: str,
) -> None:
    ca = authority.pem if trusts == "own" else other_authority.pem
    error = reach(authority.issue("refused", identity, days=days), ca=ca)
    assert error.reason == "TLS_FAILED"
    assert cause in error.message


def test_a_certificate_that_signs_itself(reach: Reach, authority: Authority, tmp_path: Path) -> None:
    itself, key = tmp_path / "itself.pem", tmp_path / "itself.key"
    itself.write_bytes(authority.pem.read_bytes())
    key.write_bytes(authority.ca.private_key_pem.bytes())
    error = reach((itself, key), ca=authority.issue("other")[0])
    assert error.reason == "TLS_FAILED"
    assert "which signs itself" in error.message


def test_a_server_without_tls(reach: Reach, authority: Authority) -> None:
    error = reach(None, ca=authority.pem)
    assert error.reason == "TLS_FAILED"
    assert "does not use TLS on this port" in error.message


@pytest.mark.parametrize("broken", ["ca", "key of another"])
def test_files_that_grpc_cannot_use(reach: Reach, authority: Authority, tmp_path: Path, broken: str) -> None:
    files = {"ca": authority.pem}
    if broken == "ca":
        files["ca"] = tmp_path / "ca.pem"
        files["ca"].write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    else:
        files |= {"certificate": authority.issue("one")[0], "key": authority.issue("two")[1]}
    error = reach(authority.issue("server"), **files)
    assert error.reason == "TLS_FAILED"
    assert "the key must fit" in error.message


@pytest.mark.parametrize("shows", ["nothing", "no TLS", "one of another authority", "an expired one"])
def test_a_client_without_what_the_server_requires(
    reach: Reach, authority: Authority, other_authority: Authority, shows: str
) -> None:
    files = {} if shows == "no TLS" else {"ca": authority.pem}
    if shows == "one of another authority":
        files |= zip(("certificate", "key"), other_authority.issue("caller"), strict=True)
    if shows == "an expired one":
        files |= zip(("certificate", "key"), authority.issue("caller", days=(-9, -1)), strict=True)
    error = reach(authority.issue("server"), authority.pem, **files)
    # gRPC does not tell it from a server that ends.
    assert error.reason == "UNREACHABLE"
    assert "may need TLS, or a client certificate that it accepts" in error.message


def test_a_server_is_reached_by_another_name_than_that_of_its_certificate(
    serve: Callable[..., str], connect: Callable[..., Any], fake_vision: type[Any], authority: Authority
) -> None:
    certificate, key = authority.issue("named", "vision.example")
    credentials = grpc.ssl_server_credentials([(key.read_bytes(), certificate.read_bytes())])
    own = sc.Credentials.from_files(ca=authority.pem, server_name="vision.example")
    assert connect(serve(fake_vision(), credentials), credentials=own).classify(b"image")
