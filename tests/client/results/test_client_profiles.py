"""The profile of a model, as the client reads it."""

from __future__ import annotations

from spyglass.v1 import model_pb2
from spyglass_client import Profile, ProfiledRun
from spyglass_client._results.models import read_models


def test_a_profile_is_read_and_is_part_of_the_json() -> None:
    run = model_pb2.ProfiledRun(batch=4, threads=1, at_once=2, seconds=0.5, images_per_second=16)
    profile = model_pb2.Profile(
        measured="2026-01-02T03:04:05+00:00", max_batch=4, wide_threads=2, image_seconds=0.25, runs=[run]
    )
    measured = model_pb2.ServedModel(name="cats", version=1, max_batch=4, profile=profile)

    (found,) = read_models(model_pb2.ListModelsResponse(models=[measured]))

    assert found.profile == Profile(
        "2026-01-02T03:04:05+00:00", 4, 2, 0.25, (ProfiledRun(4, 1, 2, 0.5, 16.0),)
    )
    assert found.to_dict()["profile"]["runs"][0] == {
        "batch": 4,
        "threads": 1,
        "at_once": 2,
        "seconds": 0.5,
        "images_per_second": 16.0,
    }


def test_a_model_that_is_not_measured_has_no_profile() -> None:
    response = model_pb2.ListModelsResponse(models=[model_pb2.ServedModel(name="cats", version=1)])
    (found,) = read_models(response)

    assert found.profile is None
    assert found.to_dict()["profile"] is None
