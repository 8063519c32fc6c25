"""Which versions of a model serve by themselves: the newest ones, all, or those of a list."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

_NEWEST = re.compile(r"latest(?::([1-9][0-9]{0,8}))?")
_LISTED = re.compile(r"([^:@\s,]+):([1-9][0-9]{0,17})")
EXPECTED_VERSIONS = "latest, latest:N or all, and NAME:VERSION for each version of a list"


@dataclass(frozen=True)
class VersionPolicy:
    """The versions of each model that serve, if the operator does not request others."""

    # The number of the newest versions; None: all.
    newest: int | None = 1
    # The versions of models that serve these only.
    listed: Mapping[str, frozenset[int]] = field(default_factory=dict)

    @classmethod
    def parse(cls, texts: Iterable[str]) -> VersionPolicy:
        """Return the policy of texts such as `latest:2` and `digits:3`. Raises ValueError."""
        newest: list[int | None] = []
        listed: dict[str, set[int]] = {}
        for text in texts:
            if text.lower() == "all":
                newest.append(None)
            elif match := _NEWEST.fullmatch(text.lower()):
                newest.append(int(match[1] or 1))
            elif match := _LISTED.fullmatch(text):
                listed.setdefault(match[1], set()).add(int(match[2]))
            else:
                raise ValueError(f"a version policy must be {EXPECTED_VERSIONS}, not {text[:100]!r}")
        if len(newest) > 1:
            raise ValueError("give only one of latest, latest:N and all")
        return cls(newest[0] if newest else 1, {name: frozenset(found) for name, found in listed.items()})

    def choose(self, name: str, versions: Collection[int]) -> set[int]:
        """Return those of the `versions` of the model `name` that serve."""
        if name in self.listed:
            return set(self.listed[name]).intersection(versions)
        return set(sorted(versions, reverse=True)[: self.newest])


LATEST = VersionPolicy()
ALL = VersionPolicy(None)
