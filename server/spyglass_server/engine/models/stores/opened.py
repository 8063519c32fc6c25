"""A file system of fsspec with timeouts, and without what it keeps between two calls."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from spyglass_server.engine.models.stores.failures import StoreError, text_of
from spyglass_server.engine.models.stores.url import StoreUrl

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

# The packages of common schemes, for messages: fsspec itself names some of them in long sentences.
_PACKAGES = {"s3": "s3fs", "s3a": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "az": "adlfs", "abfs": "adlfs"}


def open_file_system(url: StoreUrl, seconds: float) -> AbstractFileSystem:
    """Return the file system of a URL; it waits at most `seconds` for a connection, and for the next bytes.

    Raises StoreError if fsspec or the package for the scheme is not installed, or refuses the URL.
    """
    try:
        import fsspec
    except ImportError:
        raise StoreError(
            f"models at {url} need the package fsspec: install the extra 'remote'", reason="PACKAGE_MISSING"
        ) from None
    try:
        kind = fsspec.get_filesystem_class(url.scheme)
    except ValueError:
        raise StoreError(
            f"no installed package opens {url.scheme}:// for fsspec ({url})", reason="STORE_UNKNOWN"
        ) from None
    except ImportError:
        raise _missing(url) from None
    try:
        options = dict(kind._get_kwargs_from_urls(url.full))
        options |= _timeouts(url, seconds, _configured(kind))
        # What it remembers would hide changes; a second store has a file system of its own.
        return kind(skip_instance_cache=True, use_listings_cache=False, **options)
    # The errors of libraries have no common base.
    except Exception as error:
        raise StoreError(f"{url} cannot be opened: {text_of(error, url)}") from None


def _missing(url: StoreUrl) -> StoreError:
    package = _PACKAGES.get(url.scheme)
    advice = f"the package {package}: pip install {package}" if package else "another package for fsspec"
    if url.is_http:
        advice = "the package aiohttp: install the extra 'remote'"
    return StoreError(f"models at {url} need {advice}", reason="PACKAGE_MISSING")


def root_of(file_system: AbstractFileSystem, url: StoreUrl) -> str:
    """Return the root of a repository as its file system names it, without a slash at the end."""
    return str(url.full if url.is_http else file_system._strip_protocol(url.full)).rstrip("/")


def _configured(kind: type[AbstractFileSystem]) -> dict[str, Any]:
    """Return what the files and variables of fsspec set for a file system, which ours must not replace."""
    from fsspec.config import conf

    protocols = [kind.protocol] if isinstance(kind.protocol, str) else kind.protocol
    return {name: value for protocol in protocols for name, value in conf.get(protocol, {}).items()}


def _timeouts(url: StoreUrl, seconds: float, configured: Mapping[str, Any]) -> dict[str, Any]:
    if url.is_http:
        return {
            "client_kwargs": {**_http_client(url, seconds), **configured.get("client_kwargs", {})},
            # A stream, and only real links.
            "block_size": 0,
            "simple_links": False,
        }
    if url.scheme in ("s3", "s3a"):
        return {
            "config_kwargs": {
                "connect_timeout": seconds,
                "read_timeout": seconds,
                **configured.get("config_kwargs", {}),
            }
        }
    return {}


def _http_client(url: StoreUrl, seconds: float) -> dict[str, Any]:
    import aiohttp

    traces = aiohttp.TraceConfig()
    traces.on_request_redirect.append(_refuse_downgrade)
    return {
        "timeout": aiohttp.ClientTimeout(sock_connect=seconds, sock_read=seconds),
        "trace_configs": [traces],
        # Proxies by the variables that other programs use, too.
        "trust_env": True,
    }


async def _refuse_downgrade(session: object, context: object, redirect: Any) -> None:
    """Raise PermissionError for a way from https to http: others could change the files on it."""
    target = redirect.response.headers.get("Location", "")
    if redirect.url.scheme == "https" and urlsplit(target).scheme == "http":
        raise PermissionError("a redirect from https to http is not followed")
