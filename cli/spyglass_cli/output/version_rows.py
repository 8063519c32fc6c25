"""The versions of models as rows: their states, labels and traffic shares, and how they are served."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from spyglass_client import ModelVersions, Routing, ServedModel, TrafficShare, VersionStatus

STATUS_HEADINGS = ("model", "state", "since")
ROUTING_HEADINGS = ("label", "version", "traffic")

ABSENT = "absent"
"""The state of a version that only a label or a traffic share names."""


@dataclass(frozen=True)
class VersionRow:
    """One version, or one that a label names and the server does not have."""

    name: str
    version: int
    status: VersionStatus | None
    served: ServedModel | None
    labels: tuple[str, ...]
    # The shares of requests for this version that another one answers.
    traffic: tuple[TrafficShare, ...]

    @property
    def state(self) -> str:
        """The state of the version; servers of earlier versions send none."""
        if self.status:
            return self.status.state
        return "serving" if self.served else ABSENT

    def to_dict(self) -> dict[str, Any]:
        """Return the row as JSON has it: with the fields of a served model if it serves."""
        return {
            "name": self.name,
            "version": self.version,
            "state": self.state,
            "reason": self.status.reason if self.status else "",
            "message": self.status.message if self.status else "",
            "changed": self.status.changed if self.status else "",
            "labels": list(self.labels),
            "traffic": [share.to_dict() for share in self.traffic],
            **(self.served.to_dict() if self.served else {}),
        }


def version_rows(models: Iterable[ServedModel], known: ModelVersions) -> list[VersionRow]:
    """Return a row for each state of a version, by name and version."""
    served = {(model.name, model.version): model for model in models}
    statuses: dict[tuple[str, int], list[VersionStatus | None]] = {}
    for status in known.versions:
        statuses.setdefault((status.name, status.version), []).append(status)
    routed = {(routing.name, version) for routing in known.routings for version in _routed(routing)}
    for key in routed | served.keys():
        # What drains has made place: for another file of the same version, or for none.
        if all(status and status.state == "draining" for status in statuses.setdefault(key, [])):
            statuses[key].insert(0, None)
    return [
        _row(*key, status, served.get(key), known.routing(key[0]))
        for key in sorted(statuses)
        for status in statuses[key]
    ]


def share_text(share: TrafficShare) -> str:
    """Return a share as people read it, such as `10 % of stable to canary, by caller`."""
    return f"{share.percent:g} % of {share.source} to {share.target}, by {share.sticky}"


def problems(statuses: Iterable[VersionStatus]) -> list[str]:
    """Return a line for each version whose file the server refused."""
    return [_problem(status) for status in statuses if status.reason]


def status_rows(statuses: Iterable[VersionStatus]) -> list[Sequence[str]]:
    """Return the cells of STATUS_HEADINGS."""
    return [(f"{status.name}:{status.version}", status.state, status.changed) for status in statuses]


def routing_rows(routing: Routing) -> list[Sequence[str]]:
    """Return the cells of ROUTING_HEADINGS: a row for each label, and for each version with a share."""
    rows: list[Sequence[str]] = []
    for label, version in routing.labels.items():
        shares = [share for share in routing.traffic if share.source == label]
        rows.append((label, str(version), ", ".join(map(share_text, shares))))
    numbered = [share for share in routing.traffic if share.source not in routing.labels]
    return rows + [("", str(share.source), share_text(share)) for share in numbered]


def _problem(status: VersionStatus) -> str:
    kept = "; the earlier file still serves" if status.state == "serving" else ""
    return f"{status.name}:{status.version}: {status.reason}: {status.message}{kept}"


def _row(
    name: str, version: int, status: VersionStatus | None, served: ServedModel | None, routing: Routing
) -> VersionRow:
    ended = status is not None and status.state == "draining"
    # A version that drains has given its labels to the one that replaces it.
    labels = [label for label, labelled in routing.labels.items() if labelled == version and not ended]
    sources = {version, *labels} if not ended else set()
    return VersionRow(
        name=name,
        version=version,
        status=status,
        served=None if ended else served,
        labels=tuple(labels),
        traffic=tuple(share for share in routing.traffic if share.source in sources),
    )


def _routed(routing: Routing) -> list[int]:
    """Return the versions that labels and shares name."""
    ends = (end for share in routing.traffic for end in (share.source, share.target))
    return [*routing.labels.values(), *(end for end in ends if isinstance(end, int))]
