"""Random calls of Admin: the models change, and the server goes on."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mutations import mutate
from PIL import Image as PillowImage

from plain_images import encode_image
from request_faults import REQUEST_FAULTS
from spyglass.v1 import admin_pb2
from spyglass.v1.admin_pb2_grpc import AdminStub
from spyglass.v1.model_pb2 import TRAFFIC_KEY_CALLER, TrafficShare, VersionSelector
from tiny_classifier import tiny_card, write_tiny_model

HANG_SECONDS = 10.0

pytestmark = pytest.mark.slow

SHARE = TrafficShare(
    source=VersionSelector(label="stable"),
    target=VersionSelector(version=2),
    percent=10,
    key=TRAFFIC_KEY_CALLER,
)
CALLS: list[tuple[str, Any]] = [
    ("LoadModel", admin_pb2.LoadModelRequest(name="colors", version=1)),
    ("UnloadModel", admin_pb2.UnloadModelRequest(name="colors", version=2)),
    ("UnloadModel", admin_pb2.UnloadModelRequest(name="colors")),
    ("SetLabel", admin_pb2.SetLabelRequest(name="colors", label="stable", version=1)),
    ("SetLabel", admin_pb2.SetLabelRequest(name="colors", label="stable", version=2)),
    ("RemoveLabel", admin_pb2.RemoveLabelRequest(name="colors", label="stable")),
    ("SetTraffic", admin_pb2.SetTrafficRequest(name="colors", share=SHARE)),
    ("Rollback", admin_pb2.RollbackRequest(name="colors", label="stable")),
    ("Reload", admin_pb2.ReloadRequest()),
    ("ListVersions", admin_pb2.ListVersionsRequest()),
]


def test_changed_calls_of_admin_are_answered_or_rejected(fuzzed: Callable[..., Any], tmp_path: Path) -> None:
    models = tmp_path / "own"
    for version in (1, 2):
        write_tiny_model(models, tiny_card("colors", version))
    target = fuzzed("--models", models, "--admin", "true")
    for chance in target.rounds():
        name, request = chance.choice(CALLS)
        data = request.SerializeToString()
        if chance.random() < 0.7:
            data = mutate(data, chance, chance.choice(CALLS)[1].SerializeToString())
        if chance.random() < 0.05:
            # Files that come and go meanwhile.
            place = models / "colors" / str(chance.choice([3, 4]))
            if place.exists():
                shutil.rmtree(place)
            else:
                shutil.copytree(models / "colors/1", place)
        unary = target.channel.unary_unary(f"/spyglass.v1.Admin/{name}")
        target.call(lambda unary=unary, data=data: unary(data, timeout=HANG_SECONDS), REQUEST_FAULTS)
    assert {"OK", "INVALID_ARGUMENT", "NOT_FOUND"} <= set(target.codes)
    admin = AdminStub(target.channel)
    admin.LoadModel(admin_pb2.LoadModelRequest(name="colors", version=1), timeout=HANG_SECONDS)
    target.finish(encode_image(PillowImage.new("RGB", (8, 8), "red"), "PNG"))
