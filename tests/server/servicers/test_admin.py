"""`spyglass.v1.Admin` over the wire."""

from __future__ import annotations

import shutil
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest

from spyglass.v1 import admin_pb2
from spyglass.v1.admin_pb2_grpc import AdminStub
from spyglass.v1.classify_pb2 import ClassifyRequest
from spyglass.v1.image_pb2 import Image
from spyglass.v1.model_pb2 import (
    VERSION_STATE_DRAINING,
    VERSION_STATE_FAILED,
    VERSION_STATE_SERVING,
    ListModelsRequest,
    ModelRef,
    TrafficShare,
    VersionSelector,
)
from tiny_classifier import tiny_card, write_tiny_model

Code = grpc.StatusCode


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """A folder with the versions 1 and 2 of `colors`; the server starts with the second."""
    root = tmp_path / "models"
    for version in (1, 2):
        write_tiny_model(root, tiny_card("colors", version))
    return root


@pytest.fixture
def server(run_server: Callable[..., Any], models: Path) -> Any:
    return run_server(models=models, admin=True)


@pytest.fixture
def admin(server: Any) -> Any:
    return AdminStub(server.channel)


@pytest.fixture
def served(server: Any, color_image: Callable[..., bytes]) -> Callable[..., int]:
    """Classify an image, and return the version that answered."""
    red = Image(encoded=color_image("red"))

    def serve(request_id: str = "", **ref: Any) -> int:
        request = ClassifyRequest(id=request_id, image=red, model=ModelRef(name="colors", **ref))
        return int(server.vision.Classify(request).served_by.version)

    return serve


def set_label(admin: Any, label: str, version: int) -> Any:
    return admin.SetLabel(admin_pb2.SetLabelRequest(name="colors", label=label, version=version))


def set_traffic(admin: Any, source: str, target: str, percent: float) -> Any:
    share = TrafficShare(
        source=VersionSelector(label=source), target=VersionSelector(label=target), percent=percent
    )
    return admin.SetTraffic(admin_pb2.SetTrafficRequest(name="colors", share=share))


def test_a_version_is_loaded_and_ended(admin: Any, served: Callable[..., int]) -> None:
    loaded = admin.LoadModel(admin_pb2.LoadModelRequest(name="colors", version=1)).version
    assert (loaded.version, loaded.state, served(version=1)) == (1, VERSION_STATE_SERVING, 1)

    ended = admin.UnloadModel(admin_pb2.UnloadModelRequest(name="colors", version=2)).versions

    assert [(status.version, status.state) for status in ended] in ([(2, VERSION_STATE_DRAINING)], [])
    assert served() == 1


def test_a_label_loads_its_version(admin: Any, served: Callable[..., int]) -> None:
    routing = set_label(admin, "stable", 1).routing

    assert dict(routing.labels) == {"stable": 1}
    assert (served(), served(label="stable"), served(version=2)) == (1, 1, 2)


def test_a_canary_gets_its_share_and_a_rollback_takes_it_away(admin: Any, served: Callable[..., int]) -> None:
    set_label(admin, "stable", 1)
    set_label(admin, "canary", 2)
    set_traffic(admin, "stable", "canary", 25)
    versions = Counter(served(f"request {number}") for number in range(400))
    assert 60 <= versions[2] <= 140 and versions[1] == 400 - versions[2]
    set_label(admin, "stable", 2)
    started = time.monotonic()

    routing = admin.Rollback(admin_pb2.RollbackRequest(name="colors")).routing

    assert (dict(routing.labels), len(routing.traffic)) == ({"stable": 1, "canary": 2}, 0)
    assert {served(f"request {number}") for number in range(50)} == {1}
    assert time.monotonic() - started < 1


def test_a_bad_file_is_seen_in_every_list_without_the_place_of_the_files(
    server: Any, admin: Any, models: Path, served: Callable[..., int], refused: Callable[..., Any]
) -> None:
    shutil.copytree(models / "colors/2", models / "colors/3")

    refusal = refused(lambda: admin.LoadModel(admin_pb2.LoadModelRequest(name="colors", version=3)))

    assert (refusal.code, refusal.reason) == (Code.FAILED_PRECONDITION, "CARD_INVALID")
    assert refusal.message == "colors/3: the card in the file is of colors/2"
    (failed,) = [status for status in admin.Reload(admin_pb2.ReloadRequest()).versions if status.version == 3]
    assert (failed.state, failed.reason, failed.message) == (
        VERSION_STATE_FAILED,
        "CARD_INVALID",
        refusal.message,
    )
    for listed in (
        admin.ListVersions(admin_pb2.ListVersionsRequest()),
        server.vision.ListModels(ListModelsRequest()),
    ):
        assert failed in listed.versions
    assert str(models) not in str(listed)
    assert served() == 2


@pytest.mark.parametrize("content", [b"", b"\x08\x07", b"x" * 100_000], ids=["empty", "cut", "noise"])
def test_a_corrupt_file_is_refused(
    admin: Any, models: Path, served: Callable[..., int], refused: Callable[..., Any], content: bytes
) -> None:
    (models / "colors/3").mkdir()
    (models / "colors/3/model.onnx").write_bytes(content)

    refusal = refused(lambda: admin.LoadModel(admin_pb2.LoadModelRequest(name="colors", version=3)))

    assert refusal.code == Code.FAILED_PRECONDITION
    assert refusal.message.startswith("colors/3: ") and str(models) not in refusal.message
    assert served() == 2


def test_a_truncated_file_is_refused_and_its_rest_makes_it_serve(
    admin: Any, models: Path, served: Callable[..., int], refused: Callable[..., Any]
) -> None:
    whole = write_tiny_model(models, tiny_card("colors", 3))
    content = whole.read_bytes()
    whole.write_bytes(content[: len(content) // 2])
    assert refused(lambda: admin.LoadModel(admin_pb2.LoadModelRequest(name="colors", version=3)))

    whole.write_bytes(content)
    admin.Reload(admin_pb2.ReloadRequest())

    assert served() == 3


@pytest.mark.parametrize(
    ("method", "request_", "code", "reason"),
    [
        ("LoadModel", admin_pb2.LoadModelRequest(), Code.INVALID_ARGUMENT, "MODEL_NAME_MISSING"),
        ("LoadModel", admin_pb2.LoadModelRequest(name="n" * 64), Code.INVALID_ARGUMENT, "MODEL_NAME_INVALID"),
        ("LoadModel", admin_pb2.LoadModelRequest(name="../colors"), Code.NOT_FOUND, "MODEL_NOT_FOUND"),
        (
            "LoadModel",
            admin_pb2.LoadModelRequest(name="colors", version=9),
            Code.NOT_FOUND,
            "VERSION_NOT_FOUND",
        ),
        (
            "LoadModel",
            admin_pb2.LoadModelRequest(name="colors", version=-1),
            Code.INVALID_ARGUMENT,
            "VERSION_INVALID",
        ),
        ("UnloadModel", admin_pb2.UnloadModelRequest(name="other"), Code.NOT_FOUND, "MODEL_NOT_FOUND"),
        (
            "UnloadModel",
            admin_pb2.UnloadModelRequest(name="colors", version=1),
            Code.NOT_FOUND,
            "VERSION_NOT_FOUND",
        ),
        (
            "SetLabel",
            admin_pb2.SetLabelRequest(name="colors", label="7", version=1),
            Code.INVALID_ARGUMENT,
            "LABEL_INVALID",
        ),
        (
            "SetLabel",
            admin_pb2.SetLabelRequest(name="colors", label="a"),
            Code.INVALID_ARGUMENT,
            "VERSION_INVALID",
        ),
        (
            "SetLabel",
            admin_pb2.SetLabelRequest(name="colors", label="a", version=9),
            Code.NOT_FOUND,
            "VERSION_NOT_FOUND",
        ),
        (
            "RemoveLabel",
            admin_pb2.RemoveLabelRequest(name="colors", label="a"),
            Code.NOT_FOUND,
            "LABEL_NOT_FOUND",
        ),
        ("SetTraffic", admin_pb2.SetTrafficRequest(name="colors"), Code.INVALID_ARGUMENT, "SELECTOR_MISSING"),
        (
            "SetTraffic",
            admin_pb2.SetTrafficRequest(
                name="colors",
                share=TrafficShare(
                    source=VersionSelector(version=2), target=VersionSelector(version=1), percent=5
                ),
            ),
            Code.FAILED_PRECONDITION,
            "VERSION_NOT_SERVING",
        ),
        (
            "SetTraffic",
            admin_pb2.SetTrafficRequest(
                name="colors",
                share=TrafficShare(
                    source=VersionSelector(version=2), target=VersionSelector(version=1), percent=5, key=9
                ),  # type: ignore[arg-type]
            ),
            Code.INVALID_ARGUMENT,
            "TRAFFIC_KEY_UNKNOWN",
        ),
        ("Rollback", admin_pb2.RollbackRequest(name="colors"), Code.NOT_FOUND, "LABEL_NOT_FOUND"),
    ],
)
def test_an_impossible_request_says_why(
    admin: Any, refused: Callable[..., Any], method: str, request_: Any, code: Code, reason: str
) -> None:
    refusal = refused(lambda: getattr(admin, method)(request_))

    assert (refusal.code, refusal.reason) == (code, reason)
    assert len(refusal.message) < 400


def test_admin_is_not_offered_unless_it_is_turned_on(run_server: Callable[..., Any], models: Path) -> None:
    admin = AdminStub(run_server(models=models).channel)
    with pytest.raises(grpc.RpcError) as raised:
        admin.ListVersions(admin_pb2.ListVersionsRequest())
    assert raised.value.code() == Code.UNIMPLEMENTED


def test_new_versions_are_found_by_polling(
    run_server: Callable[..., Any], models: Path, eventually: Callable[..., None]
) -> None:
    server = run_server(models=models, poll_seconds=0.05)
    write_tiny_model(models, tiny_card("colors", 3))

    def versions() -> list[int]:
        return [model.version for model in server.vision.ListModels(ListModelsRequest()).models]

    eventually(lambda: versions() == [3])
