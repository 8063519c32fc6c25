"""Bearer tokens: `spg_ID_SECRET`. The id is public and finds the entry; the secret has 256 random bits."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Iterable

HEADER = "authorization"
"""The metadata key of a token, whose value is `Bearer TOKEN`."""

_PREFIX = "spg_"
_SCHEME = "bearer "
_ID_BYTES, _SECRET_BYTES = 6, 32
# A longer text is no token, and is not hashed.
_MAX_CHARACTERS = 256


def new_token() -> tuple[str, str]:
    """Return a new token and its id."""
    token_id = secrets.token_hex(_ID_BYTES)
    return f"{_PREFIX}{token_id}_{secrets.token_urlsafe(_SECRET_BYTES)}", token_id


def hash_of(token: str) -> str:
    """Return the SHA-256 of a token, as 64 hexadecimal digits."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def id_of(token: str) -> str:
    """Return the id in a token, empty if it has another form."""
    if len(token) > _MAX_CHARACTERS or not token.startswith(_PREFIX):
        return ""
    return token[len(_PREFIX) :].partition("_")[0]


def is_token_of(token: str, sha256: str) -> bool:
    """Return whether `sha256` is the hash of a token, in a time that does not depend on where they differ."""
    return hmac.compare_digest(hash_of(token), sha256)


def bearer_of(metadata: Iterable[tuple[str, str | bytes]]) -> str | None:
    """Return the token of a call, empty if there is another kind of authorisation; None: there is none."""
    for key, value in metadata:
        if key == HEADER and isinstance(value, str):
            return value[len(_SCHEME) :].strip() if value[: len(_SCHEME)].lower() == _SCHEME else ""
    return None
