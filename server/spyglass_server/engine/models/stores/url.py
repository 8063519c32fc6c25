"""The URL of a repository of models, whose credentials no text shows."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import SplitResult, unquote, urlsplit

MAX_URL = 2048
EXPECTED_URL = "a URL such as s3://BUCKET/FOLDER, gs://BUCKET/FOLDER or https://HOST/FOLDER"

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
# User and password before a host, and what follows a question mark, such as a signature.
_SECRETS = re.compile(r"(?<=://)[^/\s,@]*@|\?[^\s,'\"]*")
# The same in a text that may be no URL: a password may have any characters.
_POSSIBLE_SECRETS = re.compile(r"(?<=://)[^,]*@|\?[^,]*")


@dataclass(frozen=True)
class StoreUrl:
    """A URL that names a repository; its texts show neither user nor password. Make one with `parse`."""

    full: str = field(repr=False)
    """With credentials, without a slash at the end: only for what opens it."""
    shown: str
    """Without credentials."""

    @classmethod
    def parse(cls, text: str) -> StoreUrl:
        """Return the URL in a text. Raises ValueError that says what was expected, without credentials."""
        text = text.strip()
        if len(text) > MAX_URL or not text.isprintable() or not is_url(text):
            raise ValueError(f"expected {EXPECTED_URL}, with at most {MAX_URL} characters")
        scheme = text.partition("://")[0].lower()
        try:
            parts = urlsplit(f"{scheme}://{text.partition('://')[2]}")
            # Reading the port checks it.
            has_host = parts.port is not None or bool(parts.hostname)
        except ValueError:
            raise ValueError(f"expected {EXPECTED_URL}; host or port is invalid") from None
        if parts.query or parts.fragment or "?" in text or "#" in text:
            raise ValueError(f"expected {EXPECTED_URL}, without a query (?) and a fragment (#)")
        if scheme in ("http", "https") and not has_host:
            raise ValueError(f"expected {EXPECTED_URL}; this one has no host")
        full = parts.geturl() if parts.netloc else f"{scheme}://{parts.path}"
        # `file:///` is a root of its own.
        full = full.rstrip("/") if parts.path.strip("/") or parts.netloc else full
        host = parts.netloc.rpartition("@")[2]
        return cls(full, full.replace(f"://{parts.netloc}", f"://{host}", 1))

    @property
    def scheme(self) -> str:
        """What says which file system opens it, in lower case."""
        return self.full.partition(":")[0]

    @property
    def is_http(self) -> bool:
        """Whether a web server offers it."""
        return self.scheme in ("http", "https")

    @property
    def secrets(self) -> tuple[str, ...]:
        """User and password as they are written and as they are meant."""
        parts: SplitResult = urlsplit(self.full)
        written = [part for part in (parts.username, parts.password) if part]
        return tuple(dict.fromkeys([*written, *map(unquote, written)]))

    def hide(self, text: str) -> str:
        """Return a text of others, such as of an error, without the credentials of this URL."""
        text = _SECRETS.sub("", text) if "://" in text else text
        for secret in sorted(self.secrets, key=len, reverse=True):
            text = text.replace(secret, "***")
        return text

    def __str__(self) -> str:
        return self.shown


def is_url(text: str) -> bool:
    """Return whether a text begins with a scheme, as in s3://."""
    return _SCHEME.match(text) is not None


def without_credentials(text: str) -> str:
    """Return a text of a user without what may be users, passwords and queries of URLs; commas end a URL."""
    return _POSSIBLE_SECRETS.sub("", text) if "://" in text else text
