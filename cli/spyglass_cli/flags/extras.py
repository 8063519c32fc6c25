"""Packages that a plain install leaves out, and the message if a command needs one of them."""

from __future__ import annotations

import importlib.util
import json
import os
import shlex
import sys
from importlib.metadata import PackageNotFoundError, distribution
from urllib.parse import urlsplit
from urllib.request import url2pathname

_PACKAGE = "spyglass"


class MissingExtra(SystemExit):
    """Ends the command with exit code 2; its text is the message on standard error."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.code = 2


def require(extra: str, module: str) -> None:
    """Check, without importing it, that `module` of the extra `extra` is installed.

    Raises MissingExtra, after a line on standard error with the command that installs the extra.
    """
    if importlib.util.find_spec(module) is None:
        message = f"this command needs the extra {extra!r} (no {module}): {install_hint(extra)}"
        print(message, file=sys.stderr)
        raise MissingExtra(message)


def install_hint(extra: str) -> str:
    """Return how to install an extra of Spyglass: from where this installation came, if that is known.

    No package index has Spyglass, so the hint never names the package alone: another one might have the name.
    """
    source, is_editable = _origin()
    if source.startswith("file:"):
        path = url2pathname(urlsplit(source).path)
        if os.path.exists(path):
            return f"pip install {'-e ' if is_editable else ''}{shlex.quote(f'{path}[{extra}]')}"
    elif source:
        return f"pip install {shlex.quote(f'{_PACKAGE}[{extra}] @ {source}')}"
    return (
        f"pip install '.[{extra}]' in a clone of Spyglass, or pip install "
        f"'{_PACKAGE}-VERSION-py3-none-any.whl[{extra}]' with its wheel"
    )


def _origin() -> tuple[str, bool]:
    """Return the URL of the folder or wheel that was installed, and whether it is editable; "" if unknown."""
    try:
        text = distribution(_PACKAGE).read_text("direct_url.json")
        origin = json.loads(text) if text else {}
        return str(origin["url"]), bool(origin.get("dir_info", {}).get("editable"))
    except (PackageNotFoundError, ValueError, KeyError, TypeError, AttributeError):
        return "", False
