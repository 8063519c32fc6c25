"""The name and the licence of a folder of images, in its file `about.json`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spyglass_contract.errors import InvalidInput

FILE_NAME = "about.json"


@dataclass(frozen=True)
class About:
    """The name and the licence of the data, for the card of a model that is trained on it."""

    name: str
    licence: str


def read_about(folder: Path) -> About:
    """Return the content of `about.json` in a folder, or the folder's name and "not stated" without it.

    Raises InvalidInput if the file is not such JSON.
    """
    path = folder / FILE_NAME
    if not path.exists():
        return About(folder.resolve().name, "not stated")
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
        return About(str(fields["name"]), str(fields["licence"]))
    except (ValueError, KeyError, TypeError) as error:
        raise InvalidInput(
            f"{path} must be a JSON object with a name and a licence: {error}", field="data"
        ) from error


def write_about(folder: Path, about: About, **facts: Any) -> None:
    """Write `about.json` with further JSON facts."""
    fields = {"name": about.name, "licence": about.licence, **facts}
    (folder / FILE_NAME).write_text(json.dumps(fields, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
