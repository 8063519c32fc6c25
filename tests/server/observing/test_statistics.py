"""The statistics of a server: what its models have seen, and how far that is from the baseline."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image as PillowImage

from spyglass.v1.classify_pb2 import ClassifyRequest
from spyglass.v1.heatmap_pb2 import HeatmapRequest
from spyglass.v1.image_pb2 import Image
from spyglass.v1.model_pb2 import GetModelRequest, ModelRef
from spyglass.v1.segment_pb2 import SegmentRequest
from spyglass_contract.model.drift import drift
from spyglass_contract.model.statistics import Statistics
from spyglass_server.observing.statistics import _Window

PATIENCE = 30

COLORS = GetModelRequest(model=ModelRef(name="colors"))


def request_for(
    color: str, encode: Callable[..., bytes], size: int = 8, kind: str = "PNG"
) -> ClassifyRequest:
    return ClassifyRequest(image=Image(encoded=encode(PillowImage.new("RGB", (size, size), color), kind)))


def test_answered_requests_are_counted(run_server: Callable[..., Any], encode: Callable[..., bytes]) -> None:
    running = run_server(statistics=True)
    assert not running.vision.GetModel(COLORS, timeout=PATIENCE).HasField("seen")
    for color in ("red", "red", "blue"):
        running.vision.Classify(request_for(color, encode), timeout=PATIENCE)
    list(running.vision.ClassifyStream(iter([request_for("green", encode)]), timeout=PATIENCE))

    seen = Statistics.from_message(running.vision.GetModel(COLORS, timeout=PATIENCE).seen)
    assert seen.images == 4
    assert seen.counts["class"] == {0: 2000, 1: 1000, 2: 1000}
    assert seen.counts["format"] == {1: 4}
    assert seen.counts["pixels"] == {6: 4}


def test_responses_of_the_cache_are_not_counted(
    run_server: Callable[..., Any], encode: Callable[..., bytes]
) -> None:
    running = run_server(statistics=True, response_cache_bytes=1024 * 1024)
    for color in ("red", "red", "blue", "red"):
        running.vision.Classify(request_for(color, encode), timeout=PATIENCE)

    assert running.vision.GetModel(COLORS, timeout=PATIENCE).seen.images == 2


def test_without_the_setting_nothing_is_kept(server: Any, encode: Callable[..., bytes]) -> None:
    server.vision.Classify(request_for("red", encode), timeout=PATIENCE)
    assert not server.vision.GetModel(COLORS, timeout=PATIENCE).HasField("seen")


def test_shifted_images_move_their_quantities_and_no_others(
    run_server: Callable[..., Any], encode: Callable[..., bytes]
) -> None:
    before, after = (run_server(statistics=True) for _ in range(2))
    for number in range(90):
        color = ("red", "lime", "blue")[number % 3]
        before.vision.Classify(request_for(color, encode), timeout=PATIENCE)
        # Larger files of another format, of one class.
        after.vision.Classify(request_for("red", encode, 64, "BMP"), timeout=PATIENCE)

    seen = [
        Statistics.from_message(each.vision.GetModel(COLORS, timeout=PATIENCE).seen)
        for each in (before, after)
    ]
    verdicts = {each.quantity: each.verdict for each in drift(*seen)}
    assert verdicts["class"] == verdicts["pixels"] == verdicts["format"] == "shifted"
    assert verdicts["score"] == verdicts["entropy"] == verdicts["brightness"] == "stable"


def test_the_window_forgets_what_is_old() -> None:
    import numpy as np

    window = _Window(10, "ab" * 32)
    for number in range(35):
        window.add(np.array([1.0, 0.0], np.float32), np.full((4, 4, 1), number * 7, np.uint8), (4, 4), "PNG")
        assert window.whole().images == min(number + 1, 10 + number % 10 + 1)
    # Brightness 0 was seen long ago.
    assert 0 not in window.whole().counts["brightness"]


def test_heatmaps_and_masks_are_counted_too(
    run_server: Callable[..., Any],
    encode: Callable[..., bytes],
    explaining_models: Path,
    segmenting_models: Path,
) -> None:
    image = Image(encoded=encode(PillowImage.new("RGB", (8, 8), "red"), "PNG"))
    explaining = run_server(models=explaining_models, statistics=True, default_model=["colors"])
    explaining.vision.Heatmap(HeatmapRequest(image=image), timeout=PATIENCE)
    segmenting = run_server(models=segmenting_models, statistics=True)
    served = segmenting.vision.Segment(
        SegmentRequest(image=image, model=ModelRef(name="stretch")), timeout=PATIENCE
    ).served_by

    seen = Statistics.from_message(explaining.vision.GetModel(COLORS, timeout=PATIENCE).seen)
    assert seen.images == 1 and seen.counts["class"] == {0: 1000}
    reference = GetModelRequest(model=ModelRef(name=served.model))
    seen = Statistics.from_message(segmenting.vision.GetModel(reference, timeout=PATIENCE).seen)
    assert seen.images == 1 and sum(seen.counts["class"].values()) == 1000
