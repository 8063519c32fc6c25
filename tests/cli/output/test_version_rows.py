"""The versions of models as rows."""

from __future__ import annotations

from typing import Any

import pytest

from spyglass_cli.output.version_rows import routing_rows, share_text, version_rows
from spyglass_client import ModelVersions, Routing, ServedModel, TrafficShare, VersionStatus


def served(version: int = 1, name: str = "digits") -> ServedModel:
    return ServedModel(name, version, "classify", "ab" * 32, "CPUExecutionProvider", True, 10, 2, 1, 8)


def status(version: int, state: Any = "serving", name: str = "digits") -> VersionStatus:
    return VersionStatus(name, version, state)


SHARE = TrafficShare("stable", 3, 12.5, sticky="caller")
ROUTING = Routing("digits", {"stable": 2, "canary": 3}, (SHARE,))


def test_rows_join_states_labels_shares_and_what_is_served() -> None:
    known = ModelVersions((status(2), status(3, "loading")), (ROUTING,))
    two, three = version_rows([served(2)], known)
    assert (two.state, two.labels, two.traffic, two.served) == ("serving", ("stable",), (SHARE,), served(2))
    assert (three.state, three.labels, three.traffic, three.served) == ("loading", ("canary",), (), None)
    assert two.to_dict()["provider"] == "CPUExecutionProvider" and "provider" not in three.to_dict()


def test_a_server_that_sends_no_states_has_rows_for_what_it_serves() -> None:
    (row,) = version_rows([served()], ModelVersions((), ()))
    assert (row.state, row.labels) == ("serving", ())
    assert row.to_dict()["version"] == 1


def test_an_earlier_file_that_drains_has_neither_the_labels_nor_the_details_of_the_new_one() -> None:
    known = ModelVersions((status(2, "draining"), status(2)), (ROUTING,))
    drains, serves, missing = version_rows([served(2)], known)
    assert (drains.state, drains.labels, drains.served) == ("draining", (), None)
    assert (serves.state, serves.labels, serves.served) == ("serving", ("stable",), served(2))
    assert (missing.version, missing.state) == (3, "absent")


@pytest.mark.parametrize("known", [(), (status(2, "draining"),)])
def test_a_version_that_only_a_label_or_a_share_names_is_absent(known: tuple[VersionStatus, ...]) -> None:
    rows = version_rows([], ModelVersions(known, (ROUTING,)))
    absent = [row for row in rows if row.state == "absent"]
    assert [(row.version, row.labels) for row in absent] == [(2, ("stable",)), (3, ("canary",))]


def test_shares_are_readable() -> None:
    assert share_text(SHARE) == "12.5 % of stable to 3, by caller"
    by_number = TrafficShare(2, "stable", 50)
    assert routing_rows(Routing("digits", {"stable": 2}, (SHARE, by_number))) == [
        ("stable", "2", "12.5 % of stable to 3, by caller"),
        ("", "2", "50 % of 2 to stable, by request"),
    ]
