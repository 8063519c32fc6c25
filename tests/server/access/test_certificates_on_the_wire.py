"""Servers with mutual TLS, whose callers show a certificate in place of a token."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from spyglass.v1.classify_pb2 import ClassifyRequest
from spyglass.v1.image_pb2 import Image
from spyglass.v1.vision_pb2_grpc import VisionStub

Shown = tuple[bytes, bytes]
"""A key and its certificate, in PEM."""

Code = grpc.StatusCode
PATIENCE = 30


@pytest.fixture(scope="session")
def ca() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def stub_of(
    ca: trustme.CA, tmp_path: Path, token_file: Any, run_server: Callable[..., Any]
) -> Iterator[Callable[[Shown], VisionStub]]:
    """Start a server that knows the certificates; return stubs that show one."""
    issued, files = ca.issue_cert("localhost"), {}
    for name in ("tls_certificate", "tls_key", "tls_client_ca"):
        files[name] = tmp_path / f"{name}.pem"
    issued.cert_chain_pems[0].write_to_path(str(files["tls_certificate"]))
    issued.private_key_pem.write_to_path(str(files["tls_key"]))
    ca.cert_pem.write_to_path(str(files["tls_client_ca"]))
    token_file.accept("spiffe://team/a", "team-a", "classify", "model:*")
    token_file.accept("b.example", "team-b", "heatmap", "model:*")
    token_file.accept("Team C", "team-c")
    server = run_server(tokens=token_file.path, **files)
    channels: list[grpc.Channel] = []

    def stub(shown: Shown) -> VisionStub:
        credentials = grpc.ssl_channel_credentials(ca.cert_pem.bytes(), *shown)
        channels.append(grpc.secure_channel(f"localhost:{server.server.port}", credentials))
        return VisionStub(channels[-1])

    yield stub
    for channel in channels:
        channel.close()


@pytest.fixture
def red(color_image: Callable[..., bytes]) -> ClassifyRequest:
    return ClassifyRequest(image=Image(encoded=color_image("red")))


def test_certificates_are_known_by_their_names_and_have_scopes(
    stub_of: Callable[..., VisionStub],
    ca: trustme.CA,
    red: ClassifyRequest,
    refused: Callable[..., Any],
) -> None:
    by_uri = stub_of(with_uri(ca, "spiffe://team/a"))
    by_dns = stub_of(shown_by(ca.issue_cert("other.example", "b.example")))
    by_common_name = stub_of(shown_by(ca.issue_cert("c.example", common_name="Team C")))
    unknown = stub_of(shown_by(ca.issue_cert("x.b.example", common_name="team-a")))

    assert by_uri.Classify(red, timeout=PATIENCE).classes
    (response,) = by_uri.ClassifyStream(iter([red]), timeout=PATIENCE)
    assert response.classes
    assert by_common_name.Classify(red, timeout=PATIENCE).classes
    denied = refused(lambda: by_dns.Classify(red, timeout=PATIENCE))
    assert (denied.code, denied.message) == (Code.PERMISSION_DENIED, "the caller lacks the scope classify")
    refusal = refused(lambda: unknown.Classify(red, timeout=PATIENCE))
    assert (refusal.code, refusal.reason) == (Code.UNAUTHENTICATED, "TOKEN_MISSING")


def shown_by(certificate: trustme.LeafCert) -> Shown:
    return certificate.private_key_pem.bytes(), certificate.cert_chain_pems[0].bytes()


def with_uri(ca: trustme.CA, uri: str) -> Shown:
    """Return a key and a certificate whose only name is a URI, as those of SPIFFE are."""
    authority = x509.load_pem_x509_certificate(ca.cert_pem.bytes())
    signer = load_pem_private_key(ca.private_key_pem.bytes(), None)
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(authority.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri)]), critical=True)
        .sign(signer, hashes.SHA256())
    )
    encoding = Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    return key.private_bytes(*encoding), certificate.public_bytes(Encoding.PEM)
