"""The calls of `client.admin` of both clients, against a tiny server on a real socket."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import grpc
import pytest
from google.protobuf.message import Message

import spyglass_client as sc
from spyglass.v1 import admin_pb2, model_pb2
from spyglass.v1.admin_pb2_grpc import AdminServicer
from spyglass.v1.model_pb2 import ListModelsResponse, VersionSelector
from statuses import to_abort

Connect = Callable[..., Any]
Serve = Callable[..., str]

CALLS = ("LoadModel", "UnloadModel", "SetLabel", "RemoveLabel", "SetTraffic", "Rollback", "Reload")

FAILED = model_pb2.VersionStatus(
    name="pets",
    version=4,
    state=model_pb2.VERSION_STATE_FAILED,
    reason="CARD_INVALID",
    message="pets/4: no card",
    changed="2026-05-04T03:02:01+00:00",
)
SERVING = model_pb2.VersionStatus(name="pets", version=3, state=model_pb2.VERSION_STATE_SERVING)
SHARE = model_pb2.TrafficShare(
    source=VersionSelector(label="stable"),
    target=VersionSelector(version=4),
    percent=12.5,
    key=model_pb2.TRAFFIC_KEY_CALLER,
)
ROUTING = model_pb2.Routing(name="pets", labels={"stable": 3, "canary": 4}, traffic=[SHARE])


class FakeAdmin(AdminServicer):
    """Records its requests, raises the given errors, one for each request, and returns fixed responses."""

    def __init__(self, *failures: Exception) -> None:
        self.requests: list[Message] = []
        self._failures = list(failures)
        routed = {"SetLabel", "RemoveLabel", "SetTraffic", "Rollback"}
        for name in CALLS:
            response = getattr(admin_pb2, f"{name}Response")
            fields = {"routing": ROUTING} if name in routed else {"versions": [SERVING, FAILED]}
            if name == "LoadModel":
                fields = {"version": SERVING}
            setattr(self, name, self._responding(response(**fields)))
        listed = admin_pb2.ListVersionsResponse(versions=[SERVING, FAILED], routings=[ROUTING])
        self.ListVersions = self._responding(listed)

    def _responding(self, response: Message) -> Callable[..., Message]:
        def respond(request: Message, context: grpc.ServicerContext) -> Message:
            self.requests.append(request)
            if self._failures:
                context.abort_with_status(to_abort(self._failures.pop(0), "request-8"))
            return response

        return respond


Connected = Callable[..., Any]


@pytest.fixture
def admin_of(serve: Serve, connect: Connect, fake_vision: Callable[..., Any]) -> Connected:
    """`client.admin` of a server: `admin_of(FakeAdmin())`, or `admin_of()` of one that allows no changes."""
    return lambda servicer=None: connect(serve(fake_vision(), admin=servicer)).admin


ROUTED = sc.Routing(
    "pets", {"canary": 4, "stable": 3}, (sc.TrafficShare("stable", 4, 12.5, sticky="caller"),)
)
STATES = (
    sc.VersionStatus("pets", 3, "serving"),
    sc.VersionStatus("pets", 4, "failed", "CARD_INVALID", "pets/4: no card", "2026-05-04T03:02:01+00:00"),
)

EXPECTED: dict[str, tuple[Callable[[Any], Any], Message, Any]] = {
    "load": (
        lambda admin: admin.load("pets"),
        admin_pb2.LoadModelRequest(name="pets"),
        STATES[0],
    ),
    "load a version": (
        lambda admin: admin.load("pets:3"),
        admin_pb2.LoadModelRequest(name="pets", version=3),
        STATES[0],
    ),
    "unload": (
        lambda admin: admin.unload("pets:3"),
        admin_pb2.UnloadModelRequest(name="pets", version=3),
        STATES,
    ),
    "label": (
        lambda admin: admin.set_label("pets", "canary", 4),
        admin_pb2.SetLabelRequest(name="pets", label="canary", version=4),
        ROUTED,
    ),
    "remove a label": (
        lambda admin: admin.remove_label("pets", "canary"),
        admin_pb2.RemoveLabelRequest(name="pets", label="canary"),
        ROUTED,
    ),
    "traffic": (
        lambda admin: admin.set_traffic("pets", "stable", 4, 12.5, sticky="caller"),
        admin_pb2.SetTrafficRequest(name="pets", share=SHARE),
        ROUTED,
    ),
    "rollback": (
        lambda admin: admin.rollback("pets"),
        admin_pb2.RollbackRequest(name="pets", label="stable"),
        ROUTED,
    ),
    "reload": (lambda admin: admin.reload(), admin_pb2.ReloadRequest(), STATES),
    "versions": (
        lambda admin: admin.versions(),
        admin_pb2.ListVersionsRequest(),
        sc.ModelVersions(STATES, (ROUTED,)),
    ),
}


@pytest.mark.parametrize(("call", "request_", "result"), EXPECTED.values(), ids=EXPECTED)
def test_a_call_sends_its_arguments_and_returns_what_changed(
    admin_of: Connected, call: Callable[[Any], Any], request_: Message, result: Any
) -> None:
    servicer = FakeAdmin()
    assert call(admin_of(servicer)) == result
    assert servicer.requests == [request_]


def test_all_shares_of_a_model_are_removed_one_by_one(admin_of: Connected) -> None:
    servicer = FakeAdmin()
    assert admin_of(servicer).clear_traffic("pets").labels == {"stable": 3, "canary": 4}
    _, removal = servicer.requests
    assert isinstance(removal, admin_pb2.SetTrafficRequest)
    assert (removal.share.source.label, removal.share.percent) == ("stable", 0)


def test_a_model_without_shares_has_none_to_remove(admin_of: Connected) -> None:
    servicer = FakeAdmin()
    assert admin_of(servicer).clear_traffic("digits") == sc.Routing("digits")
    assert len(servicer.requests) == 1


INVALID: Sequence[tuple[Callable[[Any], Any], str]] = [
    (lambda admin: admin.load(""), "name"),
    (lambda admin: admin.load("pets@stable"), "name"),
    (lambda admin: admin.load(3), "name"),
    (lambda admin: admin.unload("pets:x"), "model"),
    (lambda admin: admin.set_label("pets:3", "canary", 4), "name"),
    (lambda admin: admin.set_label("pets", "", 4), "label"),
    (lambda admin: admin.set_label("pets", "12", 4), "label"),
    (lambda admin: admin.set_label("pets", "a" * 64, 4), "label"),
    (lambda admin: admin.set_label("pets", "a b", 4), "label"),
    (lambda admin: admin.set_label("pets", "canary", 0), "version"),
    (lambda admin: admin.set_label("pets", "canary", 2**63), "version"),
    (lambda admin: admin.set_label("pets", "canary", True), "version"),
    (lambda admin: admin.set_label("pets", "canary", "x" * 10_000), "version"),
    (lambda admin: admin.remove_label("pets", "canary "), "label"),
    (lambda admin: admin.set_traffic("pets", "stable", "canary", 101), "share.percent"),
    (lambda admin: admin.set_traffic("pets", "stable", "canary", -1), "share.percent"),
    (lambda admin: admin.set_traffic("pets", "stable", "canary", float("nan")), "share.percent"),
    (lambda admin: admin.set_traffic("pets", "stable", "canary", "x" * 10_000), "share.percent"),
    (lambda admin: admin.set_traffic("pets", 0, "canary", 10), "version"),
    (lambda admin: admin.set_traffic("pets", "stable", None, 10), "version"),
    (lambda admin: admin.set_traffic("pets", "stable", "canary", 10, sticky="image"), "share.key"),
    (lambda admin: admin.rollback("pets", label="1"), "label"),
]


@pytest.mark.parametrize(("call", "field"), INVALID)
def test_an_invalid_argument_is_refused_before_anything_is_sent(
    connect: Connect, call: Callable[[Any], Any], field: str
) -> None:
    with pytest.raises(sc.InvalidInput) as caught:
        call(connect("localhost:1").admin)
    assert caught.value.field == field
    assert len(caught.value.message) < 250


def test_a_refused_file_is_an_error_with_the_reason(admin_of: Connected) -> None:
    refused = sc.FailedPrecondition("pets/4: no card", reason="CARD_INVALID")
    with pytest.raises(sc.FailedPrecondition, match="no card") as caught:
        admin_of(FakeAdmin(refused)).load("pets:4")
    assert (caught.value.reason, caught.value.request_id) == ("CARD_INVALID", "request-8")


def test_a_server_that_allows_no_changes_is_an_error_that_says_what_to_do(admin_of: Connected) -> None:
    with pytest.raises(sc.Unimplemented, match="start it with --admin") as caught:
        admin_of().reload()
    assert caught.value.reason == "ADMIN_OFF"


def test_a_call_waits_for_a_server_that_starts(admin_of: Connected) -> None:
    servicer = FakeAdmin(sc.Unavailable("starting"))
    assert admin_of(servicer).rollback("pets") == ROUTED
    assert len(servicer.requests) == 2


def test_the_states_of_versions_need_no_admin(
    serve: Serve, connect: Connect, fake_vision: Callable[..., Any]
) -> None:
    class Listing(fake_vision):  # type: ignore[misc, valid-type]
        def ListModels(self, request: object, context: grpc.ServicerContext) -> ListModelsResponse:
            return ListModelsResponse(versions=[SERVING, FAILED], routings=[ROUTING])

    found = connect(serve(Listing())).versions()
    assert found == sc.ModelVersions(STATES, (ROUTED,))
    assert found.routing("pets").labels["canary"] == 4
    assert found.routing("digits") == sc.Routing("digits")


def test_versions_and_routings_as_json_have_the_fields_of_the_api() -> None:
    shown = sc.ModelVersions(STATES[1:], (ROUTED,)).to_dict()
    assert shown == {
        "versions": [
            {
                "name": "pets",
                "version": 4,
                "state": "failed",
                "reason": "CARD_INVALID",
                "message": "pets/4: no card",
                "changed": "2026-05-04T03:02:01+00:00",
            }
        ],
        "routings": [
            {
                "name": "pets",
                "labels": {"canary": 4, "stable": 3},
                "traffic": [{"source": "stable", "target": 4, "percent": 12.5, "sticky": "caller"}],
                "problem": "",
            }
        ],
    }


@pytest.mark.parametrize("target", ["127.0.0.1:1,127.0.0.1:2", "dns:///vision", ["a:1", "b:1"]], ids=str)
def test_a_change_of_models_is_rejected_if_the_client_has_several_servers(
    connect: Connect, target: Any
) -> None:
    """It would change one of them, and nobody would know which."""
    with pytest.raises(sc.InvalidInput, match="LoadModel changes one server, and the client has") as caught:
        connect(target).admin.load("pets")
    assert caught.value.reason == "SEVERAL_SERVERS"


def test_several_connections_to_one_server_may_change_its_models(
    serve: Serve, connect: Connect, fake_vision: Callable[..., Any]
) -> None:
    servicer = FakeAdmin()
    address = serve(fake_vision(), admin=servicer)
    assert connect(address, balance=sc.Balance(connections=2)).admin.load("pets").version == 3
