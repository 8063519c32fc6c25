"""JSON of callers, with bounds on the memory that it takes."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any, NoReturn

from spyglass_contract.errors import InvalidInput
from spyglass_server.engine.text import quoted

# Characters outside of ASCII take up to four bytes each in memory, and so does then every other one.
_MAX_WIDE_BYTES = 8 * 1024 * 1024
# Before each value, and nowhere else except in texts.
_BEFORE_VALUES = (b",", b"[", b"{", b":")
_HALVES_OF_PAIRS = (b"\\ud", b"\\uD")


def parse_json(body: bytes, *, most_values: int, otherwise: str = "") -> Any:
    """Return the value of a JSON text with at most `most_values` values; `otherwise`: how to send more.

    Raises InvalidInput.
    """
    if sum(map(body.count, _BEFORE_VALUES)) > most_values:
        raise _invalid(f"the JSON may have at most {most_values:,} values{otherwise}")
    if len(body) > _MAX_WIDE_BYTES and not body.isascii():
        raise _invalid(
            f"JSON with more than {_MAX_WIDE_BYTES:,} bytes must be ASCII: write other characters as \\uXXXX"
        )
    try:
        value = json.loads(body, object_pairs_hook=_unique, parse_constant=_no_number)
    except json.JSONDecodeError as error:
        raise _invalid(f"the body is not JSON: {error.msg} at character {error.pos}") from None
    except UnicodeDecodeError as error:
        raise _invalid(f"the body is not JSON: it is not UTF-8 at byte {error.start}") from None
    except RecursionError:
        raise _invalid("the JSON is nested too deep") from None
    except ValueError:
        # Python converts no longer ones.
        raise _invalid("the JSON has a number of more than 4300 digits") from None
    if any(half in body for half in _HALVES_OF_PAIRS):
        _check_pairs(value)
    return value


def _check_pairs(value: object) -> None:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise _invalid("the JSON has half of a surrogate pair, which is no character") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice, _ = Counter(name for name, _ in pairs).most_common(1)[0]
        raise _invalid(f"the JSON has the name {quoted(twice)} twice in an object")
    return found


def _no_number(text: str) -> NoReturn:
    raise _invalid(f"the body is not JSON: {text} is no number in JSON")


def _invalid(message: str) -> InvalidInput:
    return InvalidInput(message, reason="JSON_INVALID", field="body")
