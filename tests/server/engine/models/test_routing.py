"""Labels and traffic shares: which version answers a request, and what the file of them may say."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest

from spyglass_contract.errors import FailedPrecondition, InvalidInput, ModelError, NotFound, SpyglassError
from spyglass_server.engine.models.routing import MAX_LABELS, Routing, Share
from spyglass_server.engine.models.routing_file import read_routing, write_routing
from spyglass_server.engine.models.stores.store import MAX_ROUTING_BYTES

STABLE = Routing().with_label("stable", 1)
CANARY = STABLE.with_label("canary", 2).with_share(Share("stable", "canary", 10))


def routed(routing: Routing, selector: Any, request: str = "", caller: str = "") -> Any:
    return routing.routed(selector, "colors", {"request": request, "caller": caller}, {1, 2, 3})


def test_a_share_takes_its_percentage_of_the_request_ids() -> None:
    found = Counter(routed(CANARY, "stable", f"request {number}") for number in range(10_000))

    assert 900 <= found["canary"] <= 1100 and found["stable"] == 10_000 - found["canary"]


def test_a_share_takes_its_percentage_of_requests_without_ids() -> None:
    drawn = iter([0.05, 0.0999, 0.1, 0.5])
    share = Share("stable", "canary", 10)

    assert [share.takes("colors", "", lambda: next(drawn)) for _ in range(4)] == [True, True, False, False]


def test_one_id_always_goes_to_the_same_version_and_stays_when_the_share_grows() -> None:
    more = CANARY.with_share(Share("stable", "canary", 20))
    ids = [f"request {number}" for number in range(1000)]

    first = {text for text in ids if routed(CANARY, "stable", text) == "canary"}

    assert first == {text for text in ids if routed(CANARY, "stable", text) == "canary"}
    assert first < {text for text in ids if routed(more, "stable", text) == "canary"}


def test_a_share_of_callers_keeps_a_caller_together() -> None:
    routing = STABLE.with_label("canary", 2).with_share(Share("stable", "canary", 50, "caller"))

    by_caller = {
        caller: {routed(routing, "stable", f"{n}", caller) for n in range(20)}
        for caller in map(str, range(50))
    }

    assert all(len(found) == 1 for found in by_caller.values())
    assert len({next(iter(found)) for found in by_caller.values()}) == 2


def test_a_share_of_a_version_takes_from_the_labels_of_the_version_too() -> None:
    routing = STABLE.with_share(Share(1, 3, 100))

    assert [routed(routing, selector) for selector in ("stable", 1, 2)] == [3, 3, 2]


def test_a_share_whose_target_does_not_serve_takes_nothing() -> None:
    assert STABLE.with_share(Share("stable", 7, 100)).routed("stable", "colors", {}, {1}) == "stable"


def test_a_rollback_gives_a_label_its_last_version_and_ends_the_shares() -> None:
    routing = CANARY.with_label("stable", 2).with_label("stable", 3)

    first, second = routing.rolled_back("stable"), routing.rolled_back("stable").rolled_back("stable")

    assert (first.labels["stable"], second.labels["stable"], first.shares) == (2, 1, ())
    assert (first.kept, second.kept) == ({2, 1}, {1, 2})


def test_a_label_that_gets_its_version_again_can_still_be_rolled_back() -> None:
    routing = STABLE.with_label("stable", 2).with_label("stable", 2)

    assert routing.rolled_back("stable").labels == {"stable": 1}


def test_removing_a_label_removes_its_shares() -> None:
    assert CANARY.without_label("canary") == STABLE
    assert CANARY.with_share(Share("stable", 1, 0)).shares == ()


@pytest.mark.parametrize(
    ("change", "error", "reason"),
    [
        (lambda: STABLE.rolled_back("stable"), FailedPrecondition, "NO_EARLIER_VERSION"),
        (lambda: STABLE.rolled_back("canary"), NotFound, "LABEL_NOT_FOUND"),
        (lambda: STABLE.without_label("canary"), NotFound, "LABEL_NOT_FOUND"),
        (lambda: STABLE.with_share(Share("stable", "canary", 10)), NotFound, "LABEL_NOT_FOUND"),
        (lambda: STABLE.with_share(Share("stable", "stable", 10)), InvalidInput, "SHARE_INVALID"),
        (lambda: STABLE.with_share(Share("stable", 2, 100.1)), InvalidInput, "PERCENT_INVALID"),
        (lambda: STABLE.with_share(Share("stable", 2, float("nan"))), InvalidInput, "PERCENT_INVALID"),
        (lambda: STABLE.with_label("7", 1), InvalidInput, "LABEL_INVALID"),
        (lambda: STABLE.with_label("", 1), InvalidInput, "LABEL_INVALID"),
        (lambda: STABLE.with_label("a/b", 1), InvalidInput, "LABEL_INVALID"),
        (lambda: STABLE.with_label("x" * 64, 1), InvalidInput, "LABEL_INVALID"),
    ],
)
def test_an_impossible_change_is_refused(change: Any, error: type[SpyglassError], reason: str) -> None:
    with pytest.raises(error) as caught:
        change()
    assert caught.value.reason == reason


def test_labels_and_shares_are_bounded() -> None:
    full = Routing({f"l{number}": 1 for number in range(MAX_LABELS)})
    with pytest.raises(FailedPrecondition, match="at most 100 labels"):
        full.with_label("another", 1)
    shares = Routing(shares=tuple(Share(number, 1000, 1) for number in range(1, MAX_LABELS + 1)))
    with pytest.raises(FailedPrecondition, match="at most 100 traffic shares"):
        shares.with_share(Share(500, 1, 1))
    many = STABLE
    for version in range(2, 50):
        many = many.with_label("stable", version)
    assert len(many.history["stable"]) == 10


def test_the_file_keeps_everything() -> None:
    routing = CANARY.with_label("stable", 2).with_share(Share(3, "canary", 0.5, "caller"))

    assert read_routing(write_routing(routing), "colors") == routing
    assert read_routing(None, "colors") == Routing()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"\xff",
        b'{"label": {}}',
        b'{"labels": {"stable": "1"}}',
        b'{"labels": {"stable": 0}}',
        b'{"labels": {"stable": true}}',
        b'{"labels": {"7": 1}}',
        b'{"labels": {"stable": 99999999999999999999}}',
        b'{"traffic": [{"source": 1, "target": 2, "percent": 0}]}',
        b'{"traffic": [{"source": 1, "target": 2, "percent": 1e999}]}',
        b'{"traffic": [{"source": 1, "percent": 5}]}',
        b'{"traffic": [{"source": 1, "target": 2, "percent": 5, "key": "weather"}]}',
        json.dumps({"labels": {f"l{number}": 1 for number in range(MAX_LABELS + 1)}}).encode(),
        b" " * (MAX_ROUTING_BYTES + 1),
        b"[" * 60_000,
    ],
    ids=range(17),
)
def test_a_damaged_file_is_refused_with_its_name(content: bytes) -> None:
    with pytest.raises(
        ModelError, match=r"^colors/routing\.json is damaged: .*; repair or delete it$"
    ) as caught:
        read_routing(content, "colors")
    assert caught.value.reason == "ROUTING_DAMAGED"
    assert len(caught.value.message) < 500
