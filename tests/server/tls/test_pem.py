"""Certificates and keys: what is read, and the message for each thing that can be wrong."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import NameOID

from spyglass_server.tls.files import TlsFiles
from spyglass_server.tls.pem import TlsError, read_pair


def message(files: TlsFiles) -> str:
    with pytest.raises(TlsError) as raised:
        read_pair(files)
    return raised.value.message


def test_a_certificate_and_its_key_are_read(files: TlsFiles, authority) -> None:
    pair = read_pair(replace(files, client_ca=authority.pem))

    assert pair.chain == files.certificate.read_bytes()
    assert pair.key == files.key.read_bytes()
    assert pair.client_ca == authority.pem.read_bytes()
    assert pair.expires > datetime.now(UTC)


def test_without_authorities_clients_need_no_certificate(files: TlsFiles) -> None:
    assert read_pair(files).client_ca is None


@pytest.mark.parametrize("name", ["certificate", "key", "client_ca"])
def test_a_missing_file_is_named(files: TlsFiles, tmp_path: Path, name: str) -> None:
    text = message(replace(files, **{name: tmp_path / "missing.pem"}))

    assert "missing.pem: No such file" in text and "PEM" in text


@pytest.mark.parametrize("name", ["certificate", "key", "client_ca"])
@pytest.mark.parametrize("data", [b"", b"\x00\x01", b"-----BEGIN CERTIFICATE-----\nAAAA\n"])
def test_a_file_that_is_no_pem_is_named(files: TlsFiles, tmp_path: Path, name: str, data: bytes) -> None:
    broken = tmp_path / "broken.pem"
    broken.write_bytes(data)

    assert "broken.pem holds no valid" in message(replace(files, **{name: broken}))


def test_a_key_of_another_certificate_does_not_fit(files: TlsFiles, authority) -> None:
    _, other = authority.issue("other")

    assert "does not fit the certificate" in message(replace(files, key=other))


def test_an_encrypted_key_is_refused(files: TlsFiles) -> None:
    key = load_pem_private_key(files.key.read_bytes(), None)
    files.key.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret"))
    )

    assert "is encrypted" in message(files)


def issue(files: TlsFiles, authority, *, begins: timedelta, ends: timedelta) -> None:
    now = datetime.now(UTC)
    issued = authority.ca.issue_cert("localhost", not_before=now + begins, not_after=now + ends)
    files.key.write_bytes(issued.private_key_pem.bytes())
    files.certificate.write_bytes(issued.cert_chain_pems[0].bytes())


def test_an_expired_certificate_is_refused(files: TlsFiles, authority) -> None:
    issue(files, authority, begins=timedelta(days=-9), ends=timedelta(days=-2))

    assert "expired on" in message(files)


def test_a_certificate_of_the_future_is_refused(files: TlsFiles, authority) -> None:
    issue(files, authority, begins=timedelta(days=2), ends=timedelta(days=9))

    assert "is valid from" in message(files)


def test_a_chain_begins_with_the_certificate_of_the_server(files: TlsFiles) -> None:
    root = trustme.CA()
    child = root.create_child_ca()
    issued = child.issue_cert("localhost")
    chain = [part.bytes() for part in issued.cert_chain_pems]
    files.key.write_bytes(issued.private_key_pem.bytes())

    files.certificate.write_bytes(b"".join(chain))
    assert read_pair(files).chain == b"".join(chain)
    files.certificate.write_bytes(b"".join([chain[0], root.cert_pem.bytes()]))
    assert "did not sign" in message(files)


def self_signed(key: CertificateIssuerPrivateKeyTypes) -> tuple[bytes, bytes]:
    """Return a certificate and its key, in PEM."""
    name, now = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")]), datetime.now(UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + timedelta(days=9))
    algorithm = None if isinstance(key, ed25519.Ed25519PrivateKey) else SHA256()
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return builder.sign(key, algorithm).public_bytes(Encoding.PEM), pem


@pytest.mark.parametrize(
    ("key", "accepted"),
    [
        (rsa.generate_private_key(65537, 2048), True),
        (ec.generate_private_key(ec.SECP256R1()), True),
        (ec.generate_private_key(ec.SECP384R1()), True),
        # BoringSSL opens the port with these, and then no client can connect.
        (ec.generate_private_key(ec.SECP521R1()), False),
        (ed25519.Ed25519PrivateKey.generate(), False),
        # BoringSSL does not know this one.
        (ec.generate_private_key(ec.SECP256K1()), False),
    ],
    ids=["RSA", "P-256", "P-384", "P-521", "Ed25519", "secp256k1"],
)
def test_keys_that_no_client_of_grpc_accepts_are_refused(
    files: TlsFiles, key: CertificateIssuerPrivateKeyTypes, accepted: bool
) -> None:
    chain, pem = self_signed(key)
    files.certificate.write_bytes(chain)
    files.key.write_bytes(pem)
    if accepted:
        assert read_pair(files).key == pem
    else:
        assert "expected RSA, or ECDSA with P-256 or P-384" in message(files)


def test_a_signer_of_the_same_name_with_another_key_is_found(files: TlsFiles) -> None:
    (first, key), (second, _) = (self_signed(ec.generate_private_key(ec.SECP256R1())) for _ in range(2))
    files.certificate.write_bytes(first + second)
    files.key.write_bytes(key)

    assert "did not sign" in message(files)
