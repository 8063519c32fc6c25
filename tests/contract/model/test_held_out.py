"""The held-out images beside a model file: written, read, and refused if they do not fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spyglass_contract.errors import ModelError
from spyglass_contract.model import held_out as module
from spyglass_contract.model.held_out import HeldOut, read_held_out, write_held_out
from tiny_classifier import tiny_card
from tiny_segmentation import RULES, segmentation_card

SHA = "ab" * 32
PIXELS = np.arange(4 * 8 * 8 * 3, dtype=np.uint8).reshape(4, 8, 8, 3)
LABELS = np.array([0, 1, 2, 2])


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "held_out.npz"
    write_held_out(path, HeldOut(PIXELS, LABELS), SHA)
    return path


def test_images_and_labels_are_read_as_they_were_written(file: Path) -> None:
    found = read_held_out(file, tiny_card(), SHA)

    assert np.array_equal(found.pixels, PIXELS)
    assert found.labels is not None and np.array_equal(found.labels, LABELS)


def test_a_segmentation_model_has_a_label_for_each_pixel(tmp_path: Path) -> None:
    card = segmentation_card("stretch", RULES["stretch"])
    pixels, labels = np.zeros((2, 24, 32, 3), np.uint8), np.full((2, 24, 32), 255, np.uint8)
    path = tmp_path / "held_out.npz"

    write_held_out(path, HeldOut(pixels, labels), SHA)

    assert read_held_out(path, card, SHA).labels is not None
    with pytest.raises(ModelError, match=r"its labels must be 2 whole numbers"):
        write_held_out(path, HeldOut(pixels, np.zeros(2, np.int64)), SHA)
        read_held_out(path, card, SHA)


def test_a_file_holds_no_more_than_it_may(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_BYTES", 3 * 8 * 8 * 3 + 3 * 8)

    assert len(HeldOut(PIXELS, LABELS).bounded()) == 3


def test_a_truncated_file_is_refused(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-40])

    with pytest.raises(ModelError, match=r"held_out.npz is not usable: it cannot be read") as raised:
        read_held_out(file, tiny_card(), SHA)
    assert raised.value.reason == "HELD_OUT_INVALID"


def test_a_damaged_file_is_refused(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[60:120] = bytes(60)
    file.write_bytes(data)

    with pytest.raises(ModelError, match=r"held_out.npz is not usable"):
        read_held_out(file, tiny_card(), SHA)


def test_a_file_that_unpacks_to_too_much_is_refused(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_BYTES", 100)
    monkeypatch.setattr(module, "_BESIDE", 0)

    with pytest.raises(ModelError, match="bytes, more than 100"):
        read_held_out(file, tiny_card(), SHA)


def test_the_images_of_another_model_file_are_refused(file: Path) -> None:
    with pytest.raises(ModelError, match="belongs to a model file with the SHA-256 abab"):
        read_held_out(file, tiny_card(), "cd" * 32)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (
            {"pixels": PIXELS[:, :4]},
            r"must be uint8 \['images', 8, 8, 3\], not uint8 \[4, 4, 8, 3\]",
        ),
        ({"pixels": PIXELS.astype(np.float32)}, "not float32"),
        ({"pixels": PIXELS[:0]}, r"not uint8 \[0, 8, 8, 3\]"),
        ({"labels": LABELS[:2]}, "its labels must be 4 whole numbers"),
        ({"labels": LABELS.astype(np.float64)}, "its labels must be 4 whole numbers"),
        ({"labels": np.array([0, 1, 2, 3])}, "its labels must be below 3"),
        ({"labels": np.array([0, 1, 2, -1])}, "its labels must be below 3"),
        ({"labels": np.array([object()] * 4)}, "cannot be read"),
        ({"pixels": None}, "it has no array pixels"),
        ({"model_sha256": None}, "it has no array model_sha256"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(tmp_path: Path, arrays: dict[str, Any], message: str) -> None:
    path = tmp_path / "held_out.npz"
    every = {"pixels": PIXELS, "labels": LABELS, "model_sha256": np.array(SHA), **arrays}
    np.savez_compressed(path, **{name: value for name, value in every.items() if value is not None})

    with pytest.raises(ModelError, match=message):
        read_held_out(path, tiny_card(), SHA)
