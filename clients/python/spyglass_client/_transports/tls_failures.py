"""What is wrong with TLS between client and server, by gRPC's texts."""

from __future__ import annotations

# Parts of the texts of gRPC and of BoringSSL, its library for TLS, and what each of them means.
_CAUSES = {
    "unable to get local issuer certificate": "the client trusts no authority that has signed the server's "
    "certificate; set the file of authorities (ca, --ca)",
    "self signed certificate": "the client does not trust the server's certificate, which signs itself; "
    "set it as the file of authorities (ca, --ca)",
    "certificate has expired": "the server's certificate has expired; it needs a new one",
    "certificate is not yet valid": "the server's certificate is not valid yet; compare the clocks of both "
    "machines",
    "WRONG_VERSION_NUMBER": "the server does not use TLS on this port; leave out ca, certificate and https://",
    "Hostname Verification Check failed": "the server's certificate is not for this host; use a name that it "
    "contains, as the address or as the server's name (server_name, --server-name)",
    "Failed to create security handshaker": "gRPC cannot use the authorities, or the certificate and key of "
    "the client; they must be valid PEM, and the key must fit",
}

# The end of a connection whose other side does not accept how it begins.
_CLOSED = ("Socket closed", "Connection reset")


def tls_failure(details: str) -> str:
    """Return what is wrong with TLS by the text of a failed call; empty if TLS is not the cause."""
    cause = next((cause for text, cause in _CAUSES.items() if text in details), "")
    if not cause and "andshake failed" not in details:
        return ""
    return f"{cause} ({details})" if cause else details


def closed_hint(details: str) -> str:
    """Return what may be wrong if the server closed a new connection; empty if it did not."""
    # TLS 1.3 has no way to tell the client that its certificate is missing: the server closes.
    if any(text in details for text in _CLOSED):
        return "; the server may need TLS, or a client certificate that it accepts"
    return ""
