"""Find banned words in help texts, descriptions of settings, and messages of exceptions."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

PACKAGES = ("contract", "training", "export", "server", "clients/python", "cli")
TEXT_ARGUMENTS = ("help", "description", "epilog", "metavar")
# Exceptions that a function makes and returns, in place of raising them.
ERRORS = re.compile(r"(Error|InvalidInput|NotFound|FailedPrecondition|Overloaded|Unavailable|LimitExceeded)$")

# Patterns and plain words. "photograph" is allowed: some images are real photographs.
PLAIN = {
    r"pictures?": "image",
    r"who asks|questions?": "caller, request",
    r"(an?|the|no|its|of) answers?": "response, result, output",
    r"hopeless|gone": "canceled, too late",
    r"the door|(no|enough) room": "permit, limit, quota",
    r"what runs it": "backend, execution provider, device",
    r"scatters?": "measurement noise",
    r"ma(kes?|de|king) (no )?sense": "is invalid",
    r"(is|are|be) (wanted|meant)": "validate, require, allow, default to",
    r"things? of it": "connected region",
    r"soft maps?": "probability map",
    r"vouch\w*|heed\w*|nobody|for ever|of before|what came of": "a plain word",
}


def texts(tree: ast.AST) -> Iterator[ast.Constant]:
    """Yield the string literals that users read."""
    for node in ast.walk(tree):
        shown: list[ast.AST] = [node.exc] if isinstance(node, ast.Raise) and node.exc else []
        if isinstance(node, ast.Call):
            shown += [keyword.value for keyword in node.keywords if keyword.arg in TEXT_ARGUMENTS]
            shown += node.args if ERRORS.search(ast.unparse(node.func)) else []
        for part in (part for root in shown for part in ast.walk(root)):
            if isinstance(part, ast.Constant) and isinstance(part.value, str):
                yield part


def main(folders: list[str]) -> int:
    """Print each banned word with a plain one; return 1 if there are any."""
    found = {
        f"{file}:{text.lineno}: {match[0]!r}: write {plain}"
        for folder in folders or PACKAGES
        for file in Path(folder).rglob("*.py")
        for text in texts(ast.parse(file.read_text(encoding="utf-8")))
        for banned, plain in PLAIN.items()
        for match in re.finditer(rf"\b({banned})\b", str(text.value), re.IGNORECASE)
    }
    print("\n".join(sorted(found)) or "all texts use plain words")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
