"""Settings that need each other."""

from __future__ import annotations

from pydantic_settings import BaseSettings

from spyglass_contract.errors import InvalidInput
from spyglass_server.setting_flags import flag

# A setting, and another one without which it has no meaning.
_NEEDS = (
    ("tls_certificate", "tls_key"),
    ("tls_key", "tls_certificate"),
    ("tls_client_ca", "tls_certificate"),
)


def check_together(settings: BaseSettings) -> None:
    """Raise InvalidInput if a setting lacks another one that it needs."""
    for name, other in _NEEDS:
        if getattr(settings, name) is not None and getattr(settings, other) is None:
            raise InvalidInput(f"{flag(name)} needs {flag(other)}, too", field=name)
    workers, host = getattr(settings, "workers", 1), getattr(settings, "host", None) or ""
    if workers > 1 and host.startswith("unix"):
        raise InvalidInput(
            f"{flag('workers')} must be 1 for {host[:100]!r}, not {workers}: processes cannot share a Unix "
            "socket; use a host with a port",
            field="workers",
        )
