"""A profile as the message that callers get."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spyglass.v1 import model_pb2

if TYPE_CHECKING:
    from spyglass_server.engine.profiling.profile import Profile


def profile_message(profile: Profile) -> model_pb2.Profile:
    """Return the message of a profile: the decisions and the table."""
    return model_pb2.Profile(
        measured=profile.measured,
        max_batch=profile.max_batch,
        wide_threads=profile.wide_threads,
        image_seconds=profile.image_seconds,
        runs=[
            model_pb2.ProfiledRun(
                batch=run.way.batch,
                threads=run.way.threads,
                at_once=run.way.at_once,
                seconds=run.seconds,
                images_per_second=run.images_per_second,
            )
            for run in profile.runs
        ],
    )
