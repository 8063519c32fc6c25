"""Labels and traffic shares of a model: which version answers a request."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from typing import Literal

from spyglass_contract.errors import FailedPrecondition, InvalidInput, NotFound

STABLE = "stable"
"""The label of the version that requests get which name neither a version nor a label."""

Selector = int | str
"""A version, or a label of one."""

Key = Literal["request", "caller"]
"""What decides whether a request belongs to a share: its id, or who calls."""

MAX_LABELS = 100
# Versions to which a label can be rolled back, one after the other.
_MAX_HISTORY = 10
_LABEL = re.compile(r"(?=.*[^0-9])[A-Za-z0-9_.-]{1,63}")


@dataclass(frozen=True)
class Share:
    """A part of the requests for a label or version, which another one answers."""

    source: Selector
    target: Selector
    # Above 0, at most 100.
    percent: float
    key: Key = "request"

    def takes(self, name: str, key: str, chance: Callable[[], float] = random.random) -> bool:
        """Return whether a request of the model `name` belongs to the share.

        A `key` always gives the same. If the percentage grows, the keys that belong stay. No key: by chance.
        """
        if not key:
            return chance() * 100 < self.percent
        digest = blake2b(f"{name}\0{self.source}\0{key}".encode(), digest_size=8).digest()
        return int.from_bytes(digest) * 100 < self.percent * 2.0**64


@dataclass(frozen=True)
class Routing:
    """The labels and traffic shares of one model."""

    labels: Mapping[str, int] = field(default_factory=dict)
    # The versions that each label had before, the last one at the end.
    history: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    shares: tuple[Share, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.labels or self.shares)

    @property
    def kept(self) -> set[int]:
        """The versions that must serve: those of labels and shares, and those that a rollback would need."""
        targets = (share.target for share in self.shares)
        return {
            *self.labels.values(),
            *(target for target in targets if isinstance(target, int)),
            *(versions[-1] for versions in self.history.values() if versions),
        }

    def version(self, selector: Selector) -> int | None:
        """Return the version of a selector; None: no version has the label."""
        return selector if isinstance(selector, int) else self.labels.get(selector)

    def routed(
        self, selector: Selector, name: str, keys: Mapping[Key, str], serves: Container[int]
    ) -> Selector:
        """Return the selector that answers a request for `selector`: of a share, or the same.

        `keys` are the id of the request and the name of its caller. A share of a label goes before that of
        its version. A share whose target does not serve takes nothing.
        """
        for source in dict.fromkeys((selector, self.version(selector))):
            for share in self.shares:
                if share.source == source:
                    taken = self.version(share.target) in serves and share.takes(name, keys[share.key])
                    return share.target if taken else selector
        return selector

    def with_label(self, label: str, version: int) -> Routing:
        """Return the routing after a label has moved. Raises InvalidInput, and FailedPrecondition if full."""
        check_label(label)
        before = self.labels.get(label)
        if before is None and len(self.labels) >= MAX_LABELS:
            raise FailedPrecondition(
                f"a model has at most {MAX_LABELS} labels; remove one first", reason="TOO_MANY_LABELS"
            )
        history = dict(self.history)
        if before is not None and before != version:
            history[label] = (*history.get(label, ()), before)[-_MAX_HISTORY:]
        return replace(self, labels={**self.labels, label: version}, history=history)

    def without_label(self, label: str) -> Routing:
        """Return the routing without a label and its shares. Raises NotFound."""
        self._check_labelled(label)
        return Routing(
            {name: version for name, version in self.labels.items() if name != label},
            {name: versions for name, versions in self.history.items() if name != label},
            tuple(share for share in self.shares if label not in (share.source, share.target)),
        )

    def with_share(self, share: Share) -> Routing:
        """Return the routing with a share in place of that with the same source. 0 percent removes it.

        Raises InvalidInput, and NotFound for a label without a version.
        """
        if not 0 <= share.percent <= 100:
            raise InvalidInput(
                f"percent must be from 0 to 100, not {share.percent:g}",
                reason="PERCENT_INVALID",
                field="share.percent",
            )
        others = tuple(other for other in self.shares if other.source != share.source)
        if share.percent == 0:
            return replace(self, shares=others)
        for selector in (share.source, share.target):
            if isinstance(selector, str):
                self._check_labelled(selector)
        if share.source == share.target:
            raise InvalidInput(
                "the source and the target of a share must differ",
                reason="SHARE_INVALID",
                field="share.target",
            )
        if len(others) >= MAX_LABELS:
            raise FailedPrecondition(
                f"a model has at most {MAX_LABELS} traffic shares; remove one first", reason="TOO_MANY_SHARES"
            )
        return replace(self, shares=(*others, share))

    def rolled_back(self, label: str) -> Routing:
        """Return the routing before the last change of a label, without shares.

        Raises NotFound, and FailedPrecondition if the label had no other version before.
        """
        self._check_labelled(label)
        *earlier, before = self.history.get(label) or (None,)
        if before is None:
            raise FailedPrecondition(
                f"the label {label} has had no other version; name the version that it should have",
                reason="NO_EARLIER_VERSION",
                field="label",
            )
        versions = tuple(version for version in earlier if version is not None)
        return Routing({**self.labels, label: before}, {**self.history, label: versions})

    def text(self) -> str:
        """Return the labels and shares as a text for logs."""
        labels = [f"{label}={version}" for label, version in sorted(self.labels.items())]
        shares = [f"{share.percent:g} % of {share.source} to {share.target}" for share in self.shares]
        return ", ".join(labels + shares) or "none"

    def _check_labelled(self, label: str) -> None:
        check_label(label)
        if label not in self.labels:
            raise NotFound(f"no version has the label {label}", reason="LABEL_NOT_FOUND", field="label")


NO_ROUTING = Routing()


def check_label(label: str) -> None:
    """Raise InvalidInput unless `label` can be a label."""
    if not _LABEL.fullmatch(label):
        raise InvalidInput(
            "a label must be 1 to 63 letters, digits, '.', '_' and '-', and not only digits, "
            f"not {label[:100]!r}",
            reason="LABEL_INVALID",
            field="label",
        )
