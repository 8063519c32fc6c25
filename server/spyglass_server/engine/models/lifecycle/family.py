"""All versions of one model: those that there are, those that serve, and those that should."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field

from spyglass_contract.errors import FailedPrecondition, ModelError, NotFound
from spyglass_server.engine.models.lifecycle.catalog import Found
from spyglass_server.engine.models.lifecycle.policy import VersionPolicy
from spyglass_server.engine.models.lifecycle.status import State, Status, now
from spyglass_server.engine.models.model import Model
from spyglass_server.engine.models.repository import Versions
from spyglass_server.engine.models.routing import NO_ROUTING, Routing
from spyglass_server.engine.models.stores.store import PASSING_REASONS


@dataclass
class Entry:
    """One version that serves, loads or has failed."""

    # What serves, and the stamp of its files; None: nothing.
    model: Model | None = None
    stamp: str = ""
    # Why the files with this stamp were refused.
    error: ModelError | None = None
    refused: str = ""
    # The load in progress: it ends with the model, or with the error.
    loading: Future[Model] | None = None
    changed: str = field(default_factory=now)

    @property
    def state(self) -> State:
        """What operators see."""
        if self.model:
            return State.SERVING
        return State.LOADING if self.loading else State.FAILED

    def status(self, name: str, version: int) -> Status:
        """Return the status of the version."""
        error = None if self.loading else self.error
        return Status(
            name,
            version,
            self.state,
            self.changed,
            error.reason if error else "",
            error.message if error else "",
        )


class Family:
    """The versions of one model. The caller holds a lock."""

    def __init__(self, name: str) -> None:
        self.name = name
        # What the stores hold.
        self.found: dict[int, Found] = {}
        self.entries: dict[int, Entry] = {}
        # What the file of labels and shares says, and how often an operator's call has changed it.
        self.routing: Routing = NO_ROUTING
        self.changes = 0
        self.routing_error: ModelError | None = None
        # What operators requested beside the policy.
        self.pinned: set[int] = set()
        self.ended: set[int] = set()
        # Versions that a change of the routing needs until it is made.
        self.held: list[int] = []
        # Every version was ended, and so are those that come.
        self.is_off = False

    def desired(self, policy: VersionPolicy) -> set[int]:
        """Return the versions that should serve: the policy leaves out those that were refused."""
        if self.is_off:
            return set()
        usable = {
            version
            for version, found in self.found.items()
            if version not in self.ended and not self._is_refused(version, found)
        }
        kept = (self.routing.kept | self.pinned | {*self.held}) & usable
        return policy.choose(self.name, usable) | kept

    def allow(self, version: int) -> None:
        """Let a version be loaded again that was ended or refused. Raises NotFound."""
        if version not in self.found:
            found = ", ".join(map(str, sorted(self.found))) or "none"
            raise NotFound(
                f"the repository has no version {version} of {self.name}; it has: {found}",
                reason="VERSION_NOT_FOUND",
                field="version",
            )
        if self.is_off:
            self.ended |= self.found.keys()
            self.is_off = False
        self.ended.discard(version)
        entry = self.entries.get(version)
        if entry and not entry.loading:
            entry.refused = ""

    def end(self, version: int) -> set[int]:
        """Let a version not serve any more, 0: none of them; return what is to end.

        Raises NotFound, and FailedPrecondition for one version that has a label.
        """
        if version and version not in self.entries:
            raise NotFound(
                f"{self.name} has no version {version} that serves",
                reason="VERSION_NOT_FOUND",
                field="version",
            )
        labels = [label for label, of in self.routing.labels.items() if of == version]
        if labels:
            raise FailedPrecondition(
                f"version {version} of {self.name} has the label {labels[0]}; move or remove the label first",
                reason="VERSION_LABELLED",
                field="version",
            )
        ends = {version} if version else {*self.found, *self.entries}
        self.ended |= ends
        self.pinned -= ends
        self.is_off = self.is_off or not version
        return ends

    def check_routable(self, before: Routing, after: Routing) -> None:
        """Raise FailedPrecondition if a new label or share leads to a version that does not serve."""
        needed = {
            f"the label {label}": version
            for label, version in after.labels.items()
            if before.labels.get(label) != version
        }
        for share in after.shares:
            if share not in before.shares:
                needed[f"the share of {share.source}"] = after.version(share.target) or 0
        for what, version in needed.items():
            if version not in self.serving():
                raise FailedPrecondition(
                    f"{what} needs version {version} of {self.name}, which does not serve; load it first",
                    reason="VERSION_NOT_SERVING",
                    field="version",
                )

    def check_started(self, *, strict: bool) -> None:
        """Raise ModelError if a version could not be loaded; not strict: only if none could."""
        if self.routing_error:
            raise self.routing_error
        failed = [entry.error for _, entry in sorted(self.entries.items()) if entry.error]
        if failed and (strict or not self.serving()):
            raise failed[0]

    def to_load(self, desired: set[int]) -> Iterator[int]:
        """Yield the desired versions whose files are not the ones that serve, load, or were refused."""
        for version in sorted(desired):
            entry, stamp = self.entries.get(version), self.found[version].stamp
            if entry is None or (not entry.loading and stamp not in (entry.stamp, entry.refused)):
                yield version

    def is_loading(self, desired: set[int]) -> bool:
        """Return whether any of the versions loads."""
        return any(entry.loading for version, entry in self.entries.items() if version in desired)

    def serving(self) -> dict[int, Model]:
        """Return the models that serve, by version."""
        return {version: entry.model for version, entry in self.entries.items() if entry.model}

    def published(self, before: Versions) -> Versions:
        """Return what requests find: of the labels those whose versions serve.

        A label whose new version does not serve yet leads to the version that it led to before.
        """
        models = self.serving()
        labels = {}
        for label, version in self.routing.labels.items():
            for candidate in (version, before.routing.labels.get(label)):
                if candidate in models:
                    labels[label] = candidate
                    break
        return Versions(models, Routing(labels, {}, self.routing.shares))

    def forget_absent(self, desired: set[int]) -> None:
        """Forget what failed and is not in the stores any more, or is not wanted."""
        for version, entry in list(self.entries.items()):
            gone = version not in self.found or version in self.ended
            if not entry.model and not entry.loading and gone and version not in desired:
                del self.entries[version]
        self.pinned &= self.found.keys()

    def try_again(self) -> None:
        """Let versions be fetched again that could not be fetched for a reason that may have passed."""
        for entry in self.entries.values():
            if entry.error and not entry.loading and entry.error.reason in PASSING_REASONS:
                entry.refused = ""

    @property
    def is_empty(self) -> bool:
        """Whether nothing is left of the model."""
        return not self.found and not self.entries

    def _is_refused(self, version: int, found: Found) -> bool:
        entry = self.entries.get(version)
        return entry is not None and entry.model is None and entry.refused == found.stamp
