"""What a folder of images says of itself: `about.json`, with a name and a licence."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spyglass_contract.errors import InvalidInput

FILE_NAME = "about.json"


@dataclass(frozen=True)
class About:
    """What a model's card will say of the data it was trained on."""

    name: str
    licence: str


def read_about(folder: Path) -> About:
    """From `about.json` in a folder; where there is none the folder's name, and that no licence is stated.

    Raises InvalidInput where the file is not such JSON.
    """
    path = folder / FILE_NAME
    if not path.exists():
        return About(folder.resolve().name, "not stated")
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
        return About(str(fields["name"]), str(fields["licence"]))
    except (ValueError, KeyError, TypeError) as error:
        raise InvalidInput(f"{path} has no name and licence: {error}", field="data") from error


def write_about(folder: Path, about: About, **facts: Any) -> None:
    """Writes `about.json`, with further facts that are JSON."""
    fields = {"name": about.name, "licence": about.licence, **facts}
    (folder / FILE_NAME).write_text(json.dumps(fields, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
