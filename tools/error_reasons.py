"""Write docs/errors.md: the reasons of errors of calls and of model files, read from the code.

`python tools/error_reasons.py` writes the page. With `--check` it fails if the page is stale.
"""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from spyglass_contract import errors
from spyglass_contract.status_codes import ERROR_DOMAIN, STATUS_CODES, status_code

PAGE = Path("docs/errors.md")
# The packages whose errors a server sends, and the one whose errors only the Python client raises.
SERVED = ("contract/spyglass_contract", "server/spyglass_server")
# Files below them whose errors end a command, and are never sent.
UNSENT = ("run_folder.py", "settings.py", "token_file.py")
CLIENT = ("clients/python/spyglass_client",)
# The checks of model files, whose errors end the start of a server or a command.
MODEL_FILES = ("contract/spyglass_contract/model_files",)

HEAD = f"""# Errors

`tools/error_reasons.py` writes this page from the code; do not edit it.

A call that fails has a gRPC status code, and a `google.rpc.Status` in the trailer `grpc-status-details-bin`.
If one image of a stream fails, its response has the same message in the field `error`. The details are:

- `ErrorInfo`: `reason` is one of the values below. It is stable, and for programs. `domain` is always
  `{ERROR_DOMAIN}`.
- `RequestInfo`: `request_id` is the id of the call in the server's log.
- `BadRequest`, if a part of the request is at fault: its field, such as `model.name`.
- `RetryInfo`, if a retry may help later: the time to wait.

`message` is for people, and its words may change. A call with UNAVAILABLE is always safe to send again. A
status without `ErrorInfo` is of gRPC itself or of a proxy. [Clients](clients.md) shows how to read a reason.
"""


@dataclass
class Reason:
    """One reason, with the classes, the messages and the fields of the request that the code has for it."""

    kinds: set[str] = field(default_factory=set)
    messages: set[str] = field(default_factory=set)
    fields: set[str] = field(default_factory=set)


def reasons(
    folders: tuple[str, ...], root: type[errors.SpyglassError] = errors.SpyglassError
) -> dict[tuple[str, str], Reason]:
    """Return the reasons of errors that the code below `folders` makes, by (status code, reason).

    They are those of the classes below `root` that are sent to callers; of ModelError, which is not, all.
    """
    files = [
        file for folder in folders for file in sorted(Path(folder).rglob("*.py")) if file.name not in UNSENT
    ]
    trees = [ast.parse(file.read_text(encoding="utf-8")) for file in files]
    constants = dict(pair for tree in trees for pair in _constants(tree))
    found: dict[tuple[str, str], Reason] = {}
    for call, kind in (pair for tree in trees for pair in _errors(tree, root)):
        given = {keyword.arg: keyword.value for keyword in call.keywords}
        stated = [kind.default_reason] if "reason" not in given else _texts(given["reason"], constants)
        # An error without any is another error, raised again.
        for reason in stated:
            entry = found.setdefault((_code(kind), reason), Reason())
            entry.kinds.add(kind.__name__)
            entry.messages.update(filter(None, map(_message, call.args[:1])))
            entry.fields.update(_texts(given["field"], constants) if "field" in given else ())
    return found


def _constants(tree: ast.Module) -> Iterator[tuple[str, str]]:
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant):
            for target in node.targets:
                if isinstance(target, ast.Name) and isinstance(node.value.value, str):
                    yield target.id, node.value.value


def _errors(
    tree: ast.Module, root: type[errors.SpyglassError]
) -> Iterator[tuple[ast.Call, type[errors.SpyglassError]]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            kind = getattr(errors, ast.unparse(node.func).rpartition(".")[2], None)
            if (
                inspect.isclass(kind)
                and issubclass(kind, root)
                and (_code(kind) or root is errors.ModelError)
            ):
                yield node, kind


def _code(kind: type[errors.SpyglassError]) -> str:
    """Return the status code of a class, an empty text for classes that are never sent."""
    sent = any(issubclass(kind, known) for known in STATUS_CODES)
    return status_code(kind("")) if sent else ""


def _texts(node: ast.expr, constants: dict[str, str]) -> list[str]:
    """Return the texts that an expression can be: of a constant, of its name, or of both branches."""
    if isinstance(node, ast.IfExp):
        return [*_texts(node.body, constants), *_texts(node.orelse, constants)]
    if isinstance(node, ast.Name):
        return [constants[node.id]] if node.id in constants else []
    return [node.value] if isinstance(node, ast.Constant) and isinstance(node.value, str) else []


def _message(node: ast.expr) -> str:
    """Return a message with `…` for each of its values; an empty text if it is made elsewhere."""
    if isinstance(node, ast.JoinedStr):
        return "".join(_message(part) or "…" for part in node.values)
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def _table(found: dict[tuple[str, str], Reason]) -> str:
    lines = ["| Reason | Python class | Field | Message |", "|---|---|---|---|"]
    for (_, reason), entry in sorted(found.items()):
        fields = ", ".join(f"`{name}`" for name in sorted(entry.fields))
        messages = "<br>".join(sorted(entry.messages)).replace("|", "\\|").replace("\n", " ")
        lines.append(f"| `{reason}` | {', '.join(sorted(entry.kinds))} | {fields} | {messages} |")
    return "\n".join(lines) + "\n"


def page() -> str:
    """Return the text of the page."""
    served = reasons(SERVED)
    parts = [HEAD]
    for code, kind in sorted((code, kind) for kind, code in STATUS_CODES.items()):
        about = (inspect.getdoc(kind) or "").partition("\n")[0]
        mine = {key: entry for key, entry in served.items() if key[0] == code}
        parts.append(f"## {code}\n\n{about}\n\n{_table(mine) if mine else 'No reason of its own.'}")
    only = {key: entry for key, entry in reasons(CLIENT).items() if key not in served}
    parts.append(
        f"## In the Python client only\n\nThe client raises these without a server.\n\n{_table(only)}"
    )
    parts.append(
        "## Model files\n\nNo caller receives these. The server that finds one does not start, and logs it; "
        f"a command prints it.\n\n{_table(reasons(MODEL_FILES, errors.ModelError))}"
    )
    return "\n".join(part.rstrip("\n") + "\n" for part in parts)


def main(arguments: list[str]) -> int:
    """Write the page, or compare it; return 1 if it is stale."""
    if arguments != ["--check"]:
        PAGE.write_text(page(), encoding="utf-8")
        return 0
    if PAGE.exists() and PAGE.read_text(encoding="utf-8") == page():
        print(f"{PAGE} is fresh")
        return 0
    print(f"stale: {PAGE}; run `python tools/error_reasons.py` and commit it")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
