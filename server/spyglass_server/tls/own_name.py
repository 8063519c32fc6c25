"""The name in the server's own certificate, for a check of its health on the same machine."""

from __future__ import annotations

from pathlib import Path

from cryptography import x509

from spyglass_contract.errors import InvalidInput


def own_name(path: Path) -> str:
    """Return the first DNS name or IP address of a certificate, or an empty text if it has neither.

    Raises InvalidInput if the file holds no certificate.
    """
    try:
        certificate = x509.load_pem_x509_certificates(path.read_bytes())[0]
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ""
    except (OSError, ValueError) as error:
        raise InvalidInput(f"{path} holds no valid certificate in PEM", field="tls_certificate") from error
    found = [
        *names.get_values_for_type(x509.DNSName),
        *map(str, names.get_values_for_type(x509.IPAddress)),
    ]
    # A wildcard is no name that a host can have.
    return found[0].replace("*", "any", 1) if found else ""
