"""Captured requests: what is written, how much of it, and what happens when it cannot be written."""

from __future__ import annotations

import io
import json
import logging
import stat
from collections.abc import Callable
from pathlib import Path
from threading import Event
from typing import Any
from urllib.request import urlopen

import numpy as np
import pytest
from PIL import Image as PillowImage

from spyglass.inference.v2_pb2 import ModelInferRequest
from spyglass.inference.v2_pb2_grpc import GRPCInferenceServiceStub
from spyglass.v1.classify_pb2 import ClassifyRequest
from spyglass.v1.image_pb2 import Image, RawImage
from spyglass_server.observing.capture import Capture, CaptureError, CaptureOptions
from spyglass_server.open_inference.byte_strings import join_strings

PATIENCE = 30
GIGABYTE = 1024**3


def files_in(folder: Path, pattern: str) -> list[Path]:
    return sorted(folder.rglob(pattern))


def capture_of(running: Any) -> Capture:
    found = running.server._observing._capture
    assert isinstance(found, Capture)
    return found


def test_an_image_is_stored_as_it_came_with_the_response(
    run_server: Callable[..., Any],
    color_image: Callable[..., bytes],
    tmp_path: Path,
    eventually: Callable[..., None],
) -> None:
    folder = tmp_path / "new" / "captured"
    running = run_server(capture_folder=folder, capture_sample=1.0)
    image = color_image("red")
    request = ClassifyRequest(image=Image(encoded=image), id="../../mine")
    running.vision.Classify(request, timeout=PATIENCE, metadata=[("x-request-id", "r/1")])
    eventually(lambda: capture_of(running).written == 1)

    (stored,) = files_in(folder, "*.png")
    description = json.loads(stored.with_suffix(".json").read_text())
    assert stored.read_bytes() == image
    assert stored.parent.parent == folder / "colors" / "1"
    assert description["request_id"] == "r/1" and description["method"] == "Classify"
    assert description["response"]["classes"][0]["name"] == "red"
    for path in (folder, stored.parent):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
    for path in (stored, stored.with_suffix(".json")):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_response_of_the_cache_is_not_stored_again(
    run_server: Callable[..., Any],
    color_image: Callable[..., bytes],
    tmp_path: Path,
    eventually: Callable[..., None],
) -> None:
    running = run_server(capture_folder=tmp_path, capture_sample=1.0, response_cache_bytes=1024 * 1024)
    for color in ("red", "red", "blue"):
        request = ClassifyRequest(image=Image(encoded=color_image(color)))
        running.vision.Classify(request, timeout=PATIENCE)
    eventually(lambda: capture_of(running).written == 2)

    assert capture_of(running).left_out == 0


@pytest.mark.parametrize("count", [1, 3])
def test_each_image_of_a_tensor_is_stored_with_its_classes(
    run_server: Callable[..., Any],
    color_image: Callable[..., bytes],
    tmp_path: Path,
    eventually: Callable[..., None],
    count: int,
) -> None:
    running = run_server(capture_folder=tmp_path, capture_sample=1.0)
    tensor = ModelInferRequest.InferInputTensor(name="image", datatype="BYTES", shape=[count])
    raw = join_strings([color_image("blue")] * count)
    request = ModelInferRequest(model_name="colors", inputs=[tensor], raw_input_contents=[raw])
    GRPCInferenceServiceStub(running.channel).ModelInfer(request, timeout=PATIENCE)
    eventually(lambda: capture_of(running).written == count)

    for path in files_in(tmp_path, "*.png"):
        assert path.read_bytes() == color_image("blue")
        description = json.loads(path.with_suffix(".json").read_text())
        assert description["method"] == "ModelInfer"
        assert description["response"]["classes"][0]["name"] == "blue"
        assert description["response"]["served_by"]["model"] == "colors"


def test_pixels_are_stored_as_a_png(
    run_server: Callable[..., Any], tmp_path: Path, eventually: Callable[..., None]
) -> None:
    running = run_server(capture_folder=tmp_path, capture_sample=1.0)
    for channels in (1, 3, 4):
        pixels = np.random.default_rng(0).integers(0, 256, (5, 6, channels), np.uint8)
        raw = RawImage(height=5, width=6, channels=channels, data=pixels.tobytes())
        list(running.vision.ClassifyStream(iter([ClassifyRequest(image=Image(raw=raw))]), timeout=PATIENCE))
    eventually(lambda: capture_of(running).written == 3)

    modes = {PillowImage.open(io.BytesIO(path.read_bytes())).mode for path in files_in(tmp_path, "*.png")}
    assert modes == {"L", "RGB", "RGBA"}


def test_failed_requests_are_not_stored(
    run_server: Callable[..., Any], tmp_path: Path, color_image: Callable[..., bytes]
) -> None:
    running = run_server(capture_folder=tmp_path, capture_sample=1.0)
    bad = ClassifyRequest(image=Image(encoded=b"no image"))
    good = ClassifyRequest(image=Image(encoded=color_image("red")))
    list(running.vision.ClassifyStream(iter([bad, good]), timeout=PATIENCE))
    capture_of(running).stop()

    assert len(files_in(tmp_path, "*.png")) == len(files_in(tmp_path, "*.json")) == 1


def test_a_part_of_the_requests_is_stored(
    run_server: Callable[..., Any], tmp_path: Path, color_image: Callable[..., bytes]
) -> None:
    running = run_server(capture_folder=tmp_path, capture_sample=0.25)
    capture = capture_of(running)
    capture._chance = iter([0.1, 0.25, 0.9, 0.2]).__next__
    for _ in range(4):
        running.vision.Classify(ClassifyRequest(image=Image(encoded=color_image("red"))), timeout=PATIENCE)
    capture.stop()

    assert capture.written == 2 and len(files_in(tmp_path, "*.png")) == 2


@pytest.mark.parametrize(("workers", "most"), [(1, 6000), (3, 4000)])
def test_capturing_stops_at_the_limit_and_nothing_is_deleted(
    run_server: Callable[..., Any],
    tmp_path: Path,
    color_image: Callable[..., bytes],
    caplog: pytest.LogCaptureFixture,
    workers: int,
    most: int,
) -> None:
    # Files of an earlier run count, too; of the rest, each worker process gets its part.
    (tmp_path / "old.bin").write_bytes(bytes(3000))
    running = run_server(capture_folder=tmp_path, capture_sample=1.0, capture_max_bytes=6000, workers=workers)
    with caplog.at_level(logging.WARNING):
        for _ in range(20):
            running.vision.Classify(
                ClassifyRequest(image=Image(encoded=color_image("red"))), timeout=PATIENCE
            )
        capture = capture_of(running)
        capture.stop()

    assert capture.written >= 1 and capture.left_out == 20 - capture.written
    assert sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file()) <= most
    assert len([each for each in caplog.records if "no more requests are stored" in each.message]) == 1


def test_a_disk_that_fails_does_not_disturb_serving(
    run_server: Callable[..., Any],
    tmp_path: Path,
    color_image: Callable[..., bytes],
    caplog: pytest.LogCaptureFixture,
    eventually: Callable[..., None],
) -> None:
    running = run_server(capture_folder=tmp_path / "captured", capture_sample=1.0)
    # A file stands where the folder of the model must be.
    (tmp_path / "captured" / "colors").write_text("")
    request = ClassifyRequest(image=Image(encoded=color_image("red")))
    for _ in range(3):
        assert running.vision.Classify(request, timeout=PATIENCE).classes
    capture = capture_of(running)
    eventually(lambda: capture.left_out == 3)
    assert len([each for each in caplog.records if "could not be stored" in each.message]) == 1

    (tmp_path / "captured" / "colors").unlink()
    running.vision.Classify(request, timeout=PATIENCE)
    eventually(lambda: capture.written == 1)


def test_large_images_wait_in_a_bounded_number(
    run_server: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    may_write = Event()
    write = Capture._write
    monkeypatch.setattr(Capture, "_write", lambda *given: may_write.wait(PATIENCE) and write(*given))
    running = run_server(capture_folder=tmp_path, capture_sample=1.0, metrics_port=0)
    capture = capture_of(running)
    side = 3000
    raw = RawImage(height=side, width=side, channels=1, data=bytes(side * side))
    request = ClassifyRequest(image=Image(raw=raw))
    for _ in range(10):
        running.vision.Classify(request, timeout=PATIENCE)

    # Seven images of 9 MB are less than 64 MiB.
    assert capture.left_out == 3
    may_write.set()
    capture.stop()
    assert capture.written == 7
    with urlopen(f"http://localhost:{running.server.metrics_port}/metrics", timeout=PATIENCE) as page:
        text = page.read().decode()
    assert "spyglass_stored_total 7.0" in text and "spyglass_not_stored_total 3.0" in text


def test_a_folder_that_cannot_be_used_is_an_error_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CaptureError, match="a folder that the server may write to"):
        Capture(CaptureOptions(tmp_path / "file" / "folder", 1.0, GIGABYTE))


def test_the_log_says_that_images_are_stored(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        Capture(CaptureOptions(tmp_path, 0.5, GIGABYTE)).stop()
    assert "requests are stored: 0.5 of all, with their images" in caplog.text
