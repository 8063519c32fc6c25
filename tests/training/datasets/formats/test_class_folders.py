"""One folder for each class is a data set."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from spyglass.v1.model_pb2 import TASK_CLASSIFY, InputSpec
from spyglass_contract.errors import InvalidInput, NotFound
from spyglass_contract.images.pixels import prepare
from spyglass_training.datasets.about import About, write_about
from spyglass_training.datasets.formats import class_folders
from spyglass_training.datasets.reading.options import ReadingOptions

WriteCrops = Callable[..., list[Path]]


def test_folders_define_parts_and_classes(tmp_path: Path, spec: InputSpec, write_crops: WriteCrops) -> None:
    for part, count in (("train", 3), ("validation", 2), ("test", 1)):
        for label in ("cup", "cat"):
            write_crops(label, tmp_path / part / label, [f"{index}.jpg" for index in range(count)])
    (tmp_path / "train/cat/notes.txt").write_text("no image")
    (tmp_path / "train/cat/.hidden.jpg").write_bytes(b"no image either")
    dataset = class_folders.load(tmp_path, spec)
    assert dataset.class_names == ("cat", "cup") and dataset.task == TASK_CLASSIFY
    assert dataset.validation is not None
    assert [part.labels.tolist() for part in (dataset.train, dataset.validation, dataset.test)] == [
        [0, 0, 0, 1, 1, 1],
        [0, 0, 1, 1],
        [0, 1],
    ]
    encoded = (tmp_path / "train/cup/1.jpg").read_bytes()
    np.testing.assert_array_equal(dataset.train.pixels[4], prepare(encoded, spec).pixels)
    train, validation = dataset.train_and_validation(0.5, seed=0)
    assert train is dataset.train and validation is dataset.validation


def test_without_parts_a_seeded_fifth_of_each_class_is_for_testing(
    tmp_path: Path, spec: InputSpec, write_crops: WriteCrops
) -> None:
    for label in ("cat", "cup"):
        write_crops(label, tmp_path / label, [f"{index}.jpg" for index in range(10)])
    dataset = class_folders.load(tmp_path, spec)
    assert dataset.validation is None
    assert np.bincount(dataset.train.labels).tolist() == [8, 8]
    assert np.bincount(dataset.test.labels).tolist() == [2, 2]
    again = class_folders.load(tmp_path, spec, ReadingOptions(seed=0))
    np.testing.assert_array_equal(again.test.pixels, dataset.test.pixels)
    other = class_folders.load(tmp_path, spec, ReadingOptions(seed=1))
    assert not np.array_equal(other.test.pixels, dataset.test.pixels)
    train, validation = dataset.train_and_validation(0.25, seed=0)
    assert (len(train), len(validation)) == (12, 4)


def test_the_record_has_the_folders_name_or_that_of_about_json_and_a_digest_of_the_content(
    tmp_path: Path, spec: InputSpec, write_crops: WriteCrops
) -> None:
    def write(folder: Path) -> None:
        for label in ("cat", "cup"):
            write_crops(label, folder / label, [f"{index}.jpg" for index in range(5)])

    write(tmp_path / "one")
    write(tmp_path / "two")
    write_about(tmp_path / "two", About("Cats and cups", "CC0"))
    one, two = (class_folders.load(tmp_path / name, spec).record for name in ("one", "two"))
    assert (one.name, one.licence) == ("one", "not stated")
    assert (two.name, two.licence) == ("Cats and cups", "CC0")
    assert one.sha256 == two.sha256 and len(one.sha256) == 64
    write_crops("cat", tmp_path / "two/cup", ["3.jpg"])
    assert class_folders.load(tmp_path / "two", spec).record.sha256 != two.sha256


def test_the_error_for_a_missing_folder_names_the_layout_and_the_source_of_cats_and_dogs(
    tmp_path: Path, spec: InputSpec
) -> None:
    with pytest.raises(NotFound, match=r"CLASS.*kaggle\.com.*make-subset"):
        class_folders.load(tmp_path / "nowhere", spec)


def test_a_class_without_training_images_is_rejected(
    tmp_path: Path, spec: InputSpec, write_crops: WriteCrops
) -> None:
    for label in ("cat", "cup"):
        write_crops(label, tmp_path / label, [f"{index}.jpg" for index in range(5)])
    (tmp_path / "dog").mkdir()
    with pytest.raises(InvalidInput, match=r"no training images of: dog$"):
        class_folders.load(tmp_path, spec)
    # The same holds if none of its images can be read.
    for index in range(5):
        (tmp_path / f"dog/{index}.jpg").write_bytes(b"")
    with pytest.raises(InvalidInput, match=r"no training images of: dog$"):
        class_folders.load(tmp_path, spec, ReadingOptions(skip_corrupt=True))


def test_a_class_without_test_images_is_logged_as_a_warning(
    tmp_path: Path, spec: InputSpec, write_crops: WriteCrops, caplog: pytest.LogCaptureFixture
) -> None:
    write_crops("cat", tmp_path / "cat", [f"{index}.jpg" for index in range(10)])
    write_crops("cup", tmp_path / "cup", ["0.jpg", "1.jpg"])
    assert len(class_folders.load(tmp_path, spec).test) == 2
    assert [record.getMessage() for record in caplog.records] == ["there are no test images of: cup"]


def test_inconsistent_layouts_are_rejected(tmp_path: Path, spec: InputSpec, write_crops: WriteCrops) -> None:
    write_crops("cat", tmp_path / "only/cat", ["0.jpg"])
    with pytest.raises(InvalidInput, match="two"):
        class_folders.load(tmp_path / "only", spec)
    for part, label in (("train", "cat"), ("train", "cup"), ("test", "dog")):
        write_crops("cat", tmp_path / "odd" / part / label, ["0.jpg"])
    with pytest.raises(InvalidInput, match="dog"):
        class_folders.load(tmp_path / "odd", spec)
    for part, label in (("train", "cat"), ("train", "cup")):
        write_crops("cat", tmp_path / "untested" / part / label, ["0.jpg"])
    with pytest.raises(InvalidInput, match="'test'"):
        class_folders.load(tmp_path / "untested", spec)
