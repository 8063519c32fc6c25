"""The values of settings as people write them: lists, choices and addresses; and what a setting should be."""

from __future__ import annotations

import ipaddress
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import AfterValidator, BeforeValidator
from pydantic.fields import FieldInfo
from pydantic_settings import NoDecode

from spyglass_server.engine.models.lifecycle.policy import VersionPolicy
from spyglass_server.engine.models.stores.url import StoreUrl

# A name of DNS, or one of containers, which may have underscores.
_HOST_NAME = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]{0,251}[A-Za-z0-9_])?\.?")
_UNIX = re.compile(r"unix(-abstract)?:.+")

# A URL to the end of a text, at its beginning or after a path and a colon.
_URL = re.compile(rf"(^|{re.escape(os.pathsep)})[A-Za-z][A-Za-z0-9+.-]*://.*", re.DOTALL)

# The key in a field's `json_schema_extra` with the words for what the setting should be.
EXPECTED = "expected"
_KINDS = {int: "a whole number", float: "a number", bool: "true or false", Path: "a path", str: "a text"}


def _lower(value: object) -> object:
    return value.strip().lower() if isinstance(value, str) else value


def _names(value: object) -> list[str]:
    """Return the names in a list, in JSON, or in a text that separates them by commas."""
    entries = _decoded(value)
    if not all(isinstance(entry, str) for entry in entries):
        raise ValueError("not a list of names")
    return [name.strip() for entry in entries for name in entry.split(",") if name.strip()]


def _places(value: object) -> list[Path | StoreUrl]:
    """Return the paths and URLs in a list, in JSON, or in a text that separates them.

    Commas separate them, and colons paths: a URL ends at a comma.
    """
    places: list[Path | StoreUrl] = []
    for entry in _decoded(value):
        if isinstance(entry, str) and not _exists(entry):
            places += [place for part in entry.split(",") for place in _split(part.strip())]
        elif isinstance(entry, str | Path):
            places.append(Path(entry).expanduser())
        elif isinstance(entry, StoreUrl):
            places.append(entry)
        else:
            raise ValueError("not a list of paths and URLs")
    if not places:
        raise ValueError("no path")
    return list(dict.fromkeys(places))


def _exists(text: str) -> bool:
    try:
        return Path(text).expanduser().exists()
    # A name that is too long, or has a null byte.
    except (OSError, ValueError):
        return False


def _split(text: str) -> Iterator[Path | StoreUrl]:
    """Yield the paths, and the URL at the end, of a text without commas."""
    match = _URL.search(text)
    paths = text[: match.start()] if match else text
    for part in paths.split(os.pathsep):
        if part.strip():
            yield Path(part.strip()).expanduser()
    if match:
        yield StoreUrl.parse(match[0].removeprefix(os.pathsep))


def _decoded(value: object) -> list[Any]:
    """Return the entries of a list, and of lists in JSON in it."""
    if isinstance(value, str) and value.lstrip().startswith("["):
        value = json.loads(value)
    if not isinstance(value, list | tuple):
        return [value]
    return [entry for part in value for entry in (_decoded(part) if isinstance(part, str) else [part])]


def _host(value: str) -> str:
    """Return a host as it stands before a port, or the address of a Unix socket."""
    host = value.strip()
    if _UNIX.fullmatch(host):
        return host
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if bare in ("*", "::"):
        return "[::]"
    if ":" in bare:
        return f"[{ipaddress.IPv6Address(bare)}]"
    if re.fullmatch(r"[0-9.]+", bare):
        return str(ipaddress.IPv4Address(bare))
    if bare != host or not _HOST_NAME.fullmatch(bare):
        raise ValueError("not a host")
    return bare


def _versions(value: object) -> list[str]:
    texts = _names(value)
    VersionPolicy.parse(texts)
    return texts


AnyCase = BeforeValidator(_lower)
Names = Annotated[list[str], NoDecode, BeforeValidator(_names)]
VersionTexts = Annotated[list[str], NoDecode, BeforeValidator(_versions)]
Places = Annotated[list[Path | StoreUrl], NoDecode, BeforeValidator(_places)]
Host = Annotated[str, AfterValidator(_host)]


def expected(field: FieldInfo) -> str:
    """Return what the value of a setting should be, such as "a whole number from 0 to 65535"."""
    extra = field.json_schema_extra
    if isinstance(extra, dict) and EXPECTED in extra:
        return str(extra[EXPECTED])
    kind = plain_type(field)
    if get_origin(kind) is Literal:
        *others, last = map(str, get_args(kind))
        return f"{', '.join(others)} or {last}" if others else last
    words = {"ge": "from", "gt": "above", "le": "to", "lt": "below"}
    bounds = [
        f"{word} {bound:g}" if isinstance(bound, float) else f"{word} {bound}"
        for name, word in words.items()
        for bound in (getattr(entry, name, None) for entry in field.metadata)
        if bound is not None
    ]
    return " ".join([_KINDS.get(kind, "valid"), *bounds])


def plain_type(field: FieldInfo) -> Any:
    """Return the type of a setting without None."""
    if get_origin(field.annotation) in (Union, UnionType):
        return next(kind for kind in get_args(field.annotation) if kind is not type(None))
    return field.annotation
