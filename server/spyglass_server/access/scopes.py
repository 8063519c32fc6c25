"""Scopes: what a caller may do.

`classify`, `segment` and `heatmap` allow a task. `model:GLOB` allows the models whose name matches, such as
`model:team-*`; `*` and `?` stand for any characters and for one. `admin` allows changes of the server.
A request needs the scope of its task and one that matches its model. No scope includes another one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase

TASKS = ("classify", "segment", "heatmap")
ADMIN = "admin"
MODEL_PREFIX = "model:"
ANY_MODEL = "*"
GRAMMAR = f"{', '.join(TASKS)}, {ADMIN} or {MODEL_PREFIX}GLOB"

_GLOB = re.compile(r"[A-Za-z0-9._*?-]{1,128}")


@dataclass(frozen=True)
class Scopes:
    """The scopes of one caller."""

    tasks: frozenset[str]
    # Globs of the names of models.
    models: tuple[str, ...]
    admin: bool = False

    @classmethod
    def parse(cls, texts: Iterable[str]) -> Scopes:
        """Return the scopes of texts such as `classify` and `model:team-*`. Raises ValueError."""
        tasks: set[str] = set()
        models: list[str] = []
        admin = False
        for text in texts:
            glob = text.removeprefix(MODEL_PREFIX)
            if text in TASKS:
                tasks.add(text)
            elif text == ADMIN:
                admin = True
            elif glob != text and _GLOB.fullmatch(glob):
                models.append(glob)
            else:
                raise ValueError(f"a scope must be {GRAMMAR}, not {text[:100]!r}")
        if bool(tasks) != bool(models):
            missing = f"{MODEL_PREFIX}GLOB, such as '{MODEL_PREFIX}*'" if tasks else " or ".join(TASKS)
            raise ValueError(f"these scopes allow no request: add {missing}")
        if not tasks and not admin:
            raise ValueError(f"no scope; expected {GRAMMAR}")
        return cls(frozenset(tasks), tuple(models), admin)

    @property
    def all_models(self) -> bool:
        """Whether every model is allowed."""
        return ANY_MODEL in self.models

    def allows_model(self, name: str) -> bool:
        """Return whether the model `name` is allowed."""
        return any(fnmatchcase(name, glob) for glob in self.models)
