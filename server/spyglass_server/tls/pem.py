"""Certificates and keys in PEM, checked before gRPC gets them: gRPC reports no cause when it refuses some."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)

from spyglass_contract.errors import SpyglassError
from spyglass_server.tls.files import TlsFiles


class TlsError(SpyglassError):
    """A certificate, a key or a file of authorities cannot be used."""

    default_reason = "TLS_INVALID"


@dataclass(frozen=True)
class ServerPair:
    """What a server shows in a handshake, in PEM, and the authorities of its clients."""

    chain: bytes
    key: bytes
    # None: clients show no certificate.
    client_ca: bytes | None
    # The time when the first certificate of the chain ends.
    expires: datetime


def read_pair(files: TlsFiles) -> ServerPair:
    """Read and check the files. Raises TlsError, whose message names the file and what is wrong with it."""
    chain, key = _read(files.certificate), _read(files.key)
    certificates = _certificates(chain, files.certificate)
    try:
        _check_validity(certificates[0], files.certificate)
        _check_chain(certificates, files.certificate)
        _check_key(key, certificates[0], files)
    # Certificates are parsed as far as they are used.
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise TlsError(f"{files.certificate} cannot be used: {error}") from error
    client_ca = None
    if files.client_ca:
        client_ca = _read(files.client_ca)
        _certificates(client_ca, files.client_ca)
    return ServerPair(chain, key, client_ca, certificates[0].not_valid_after_utc)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise TlsError(f"{path}: {error.strerror}; expected a PEM file") from error


def _certificates(data: bytes, path: Path) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(data)
    except ValueError as error:
        raise TlsError(f"{path} holds no valid certificate in PEM") from error


def _check_validity(certificate: x509.Certificate, path: Path) -> None:
    begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    now = datetime.now(UTC)
    if now > ends:
        raise TlsError(f"the certificate in {path} expired on {ends:%Y-%m-%d}")
    if now < begins:
        raise TlsError(f"the certificate in {path} is valid from {begins:%Y-%m-%d %H:%M} UTC on")


def _check_chain(certificates: list[x509.Certificate], path: Path) -> None:
    """Check that each certificate is followed by the one that signed it."""
    for signed, signer in pairwise(certificates):
        try:
            signed.verify_directly_issued_by(signer)
        # ValueError: the names differ.
        except (ValueError, TypeError, InvalidSignature) as error:
            raise TlsError(
                f"{path}: expected the server's certificate first, and after each certificate the one that "
                f"signed it; {signer.subject.rfc4514_string()} did not sign "
                f"{signed.subject.rfc4514_string()}"
            ) from error


def _check_key(data: bytes, certificate: x509.Certificate, files: TlsFiles) -> None:
    try:
        key = load_pem_private_key(data, password=None)
    except TypeError as error:
        raise TlsError(f"{files.key} is encrypted; expected a key without a password") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise TlsError(f"{files.key} holds no valid private key in PEM") from error
    encoding = Encoding.DER, PublicFormat.SubjectPublicKeyInfo
    if key.public_key().public_bytes(*encoding) != certificate.public_key().public_bytes(*encoding):
        raise TlsError(f"the key in {files.key} does not fit the certificate in {files.certificate}")
    if not _clients_can_verify(key):
        raise TlsError(
            f"the key in {files.key} is of a kind that gRPC's clients do not accept; "
            "expected RSA, or ECDSA with P-256 or P-384"
        )


def _clients_can_verify(key: PrivateKeyTypes) -> bool:
    """Return whether BoringSSL, gRPC's library for TLS, verifies signatures of such a key by default."""
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return isinstance(key.curve, ec.SECP256R1 | ec.SECP384R1)
    return isinstance(key, rsa.RSAPrivateKey)
