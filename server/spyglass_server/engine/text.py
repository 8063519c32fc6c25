"""Text of a caller: its limits, and its quotes in errors."""

from __future__ import annotations

from spyglass_contract.errors import InvalidInput

MAX_QUOTED_CHARACTERS = 100
"""The number of characters of a caller's text that an error quotes."""

MAX_ID_CHARACTERS = 1024
"""The most characters of the `id` of a request, which its response repeats."""


def quoted(text: str) -> str:
    """Return `text` in quotes, cut after MAX_QUOTED_CHARACTERS."""
    if len(text) <= MAX_QUOTED_CHARACTERS:
        return repr(text)
    return f"{text[:MAX_QUOTED_CHARACTERS]!r}…"


def check_id(text: str) -> str:
    """Return the id of a request. Raises InvalidInput if it is too long."""
    if len(text) > MAX_ID_CHARACTERS:
        raise InvalidInput(
            f"the id of a request may have at most {MAX_ID_CHARACTERS} characters, not {len(text):,}",
            reason="ID_TOO_LONG",
            field="id",
        )
    return text
