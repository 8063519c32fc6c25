"""What a plain install leaves out, and what to say where a command needs it."""

from __future__ import annotations

import importlib.util
import sys


class MissingExtra(SystemExit):
    """Ends the command with exit code 2; its text is what was printed."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.code = 2


def require(extra: str, module: str) -> None:
    """Makes sure that `module`, which the extra `extra` installs, can be imported; it is not imported yet.

    Raises MissingExtra after a line on standard error that says what to install.
    """
    if importlib.util.find_spec(module) is None:
        message = f"this command needs the extra {extra!r} (no {module}): pip install 'spyglass[{extra}]'"
        print(message, file=sys.stderr)
        raise MissingExtra(message)
