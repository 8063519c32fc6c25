"""Packages that a plain install leaves out, and the message if a command needs one of them."""

from __future__ import annotations

import importlib.util
import sys


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
        message = f"this command needs the extra {extra!r} (no {module}): pip install 'spyglass[{extra}]'"
        print(message, file=sys.stderr)
        raise MissingExtra(message)
