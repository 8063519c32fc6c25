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
    # Too few images to cut a test part off.
    for part, label in (("train", "cat"), ("train", "cup")):
        write_crops("cat", tmp_path / "untested" / part / label, ["0.jpg"])
    with pytest.raises(InvalidInput, match="'test'"):
        class_folders.load(tmp_path / "untested", spec)


@pytest.mark.parametrize("name", ["validation", "valid", "val", "dev", "Val"])
def test_the_validation_part_has_several_names(
    tmp_path: Path, spec: InputSpec, write_crops: WriteCrops, name: str
) -> None:
    for part, count in (("Train", 3), (name, 2), ("test", 1)):
        for label in ("cup", "cat"):
            write_crops(label, tmp_path / part / label, [f"{index}.jpg" for index in range(count)])
    dataset = class_folders.load(tmp_path, spec)
    assert dataset.validation is not None
    assert [len(part) for part in (dataset.train, dataset.validation, dataset.test)] == [6, 4, 2]
    assert dataset.left_out == () and dataset.warnings == ()


def test_images_in_sub_folders_of_a_class_and_of_every_suffix_are_used(
    tmp_path: Path, spec: InputSpec, write_crops: WriteCrops
) -> None:
    for label in ("cat", "cup"):
        write_crops(label, tmp_path / label, [f"{index}.jpg" for index in range(6)])
        (tmp_path / label / "more/deep").mkdir(parents=True)
        for index, place in enumerate(("more/0.jfif", "more/deep/1.jpe", "2.JPEG", "3.PNG")):
            (tmp_path / label / f"{index}.jpg").rename(tmp_path / label / place)
    dataset = class_folders.load(tmp_path, spec)
    assert len(dataset.train) + len(dataset.test) == 12


def test_everything_left_out_is_counted_by_reason_and_logged(
    tmp_path: Path, spec: InputSpec, write_crops: WriteCrops, caplog: pytest.LogCaptureFixture
) -> None:
    for part in ("train", "test"):
        for label in ("cat", "cup"):
            write_crops(label, tmp_path / part / label, [f"{label}-{part}-{index}.png" for index in range(2)])
    write_crops("cat", tmp_path / "extra/cat", ["0.jpg", "1.jpg"])
    write_crops("cat", tmp_path / "val", ["0.jpg", "1.jpg", "2.jpg"])
    write_crops("cup", tmp_path / "train", ["loose.jpg"])
    for name in ("train/cat/1.heic", "train/cat/2.HEIC", "test/cup/notes", "train/cup/._0.jpg", ".DS_Store"):
        (tmp_path / name).touch()
    (tmp_path / "__MACOSX/train").mkdir(parents=True)
    write_about(tmp_path, About("Cats and cups", "CC0"))
    dataset = class_folders.load(tmp_path, spec)
    assert {entry.reason: entry.count for entry in dataset.left_out} == {
        "hidden, or written by the operating system": 3,
        "the suffix .heic is not that of an image": 2,
        "without the suffix of an image": 1,
        "not in the folder of a class": 4,
        "in a folder that is no part": 2,
    }
    assert len(dataset.train) == len(dataset.test) == 4
    logged = [record.getMessage() for record in caplog.records]
    messages = [message for message in logged if message.startswith("left out ")]
    assert "left out 2: in a folder that is no part (extra, …)" in messages
    assert len(messages) == 5


def test_the_reason_is_logged_before_the_error_about_missing_images(
    tmp_path: Path, spec: InputSpec, write_crops: WriteCrops, caplog: pytest.LogCaptureFixture
) -> None:
    write_crops("cat", tmp_path / "cat", [f"{index}.jpg" for index in range(5)])
    (tmp_path / "cup").mkdir()
    (tmp_path / "cup/0.heic").touch()
    with pytest.raises(InvalidInput, match="no training images of: cup"):
        class_folders.load(tmp_path, spec)
    assert ".heic" in caplog.text


def test_unreadable_images_that_are_skipped_count_as_left_out(
    tmp_path: Path, spec: InputSpec, write_crops: WriteCrops
) -> None:
    for label in ("cat", "cup"):
        write_crops(label, tmp_path / label, [f"{index}.jpg" for index in range(5)])
    (tmp_path / "cat/5.jpg").write_bytes(b"no image")
    (entry,) = class_folders.load(tmp_path, spec, ReadingOptions(skip_corrupt=True)).left_out
    assert (entry.reason, entry.count) == ("cannot be read", 1) and "cat/5.jpg" in entry.examples[0]


def test_without_a_test_part_a_fifth_of_the_training_part_is_used_and_said(
    tmp_path: Path, spec: InputSpec, write_crops: WriteCrops
) -> None:
    for part, count in (("train", 10), ("val", 2)):
        for label in ("cat", "cup"):
            write_crops(label, tmp_path / part / label, [f"{index}.jpg" for index in range(count)])
    dataset = class_folders.load(tmp_path, spec)
    assert dataset.validation is not None
    assert (len(dataset.train), len(dataset.validation), len(dataset.test)) == (16, 4, 4)
    assert dataset.warnings == ("there is no test part: 4 of the training images are used for testing",)


def test_folders_of_parts_in_another_order_are_rejected(
    tmp_path: Path, spec: InputSpec, write_crops: WriteCrops
) -> None:
    for label in ("cat", "cup"):
        write_crops(label, tmp_path / "untrained/val" / label, ["0.jpg"])
        write_crops(label, tmp_path / "turned" / label / "train", ["0.jpg"])
        write_crops(label, tmp_path / "unlabelled" / {"cat": "train", "cup": "test"}[label], ["0.jpg"])
    for name, message in (
        ("untrained", "has the parts val, but no folder train"),
        ("turned", "cat has the folders of parts in it: train"),
        ("unlabelled", "no folders of classes in test, train"),
    ):
        with pytest.raises(InvalidInput, match=message):
            class_folders.load(tmp_path / name, spec)


def test_a_class_may_have_the_name_of_a_part(
    tmp_path: Path, spec: InputSpec, write_crops: WriteCrops
) -> None:
    write_crops("cat", tmp_path / "train", [f"{index}.jpg" for index in range(5)])
    write_crops("cup", tmp_path / "tram", [f"{index}.jpg" for index in range(5)])
    assert class_folders.load(tmp_path, spec).class_names == ("train", "tram")


def test_one_content_in_two_parts_or_under_two_labels_is_warned_of_with_counts(
    tmp_path: Path, spec: InputSpec, write_crops: WriteCrops
) -> None:
    for part in ("train", "test"):
        for label in ("cat", "cup"):
            write_crops(label, tmp_path / part / label, [f"{part}-{index}.png" for index in range(3)])
            for index in range(3):
                path = tmp_path / part / label / f"{part}-{index}.png"
                path.write_bytes(path.read_bytes() + part.encode() + bytes([index]))
    cat = (tmp_path / "train/cat/train-0.png").read_bytes()
    for copy in ("test/cat/copy.png", "train/cup/copy.png"):
        (tmp_path / copy).write_bytes(cat)
    (tmp_path / "test/cup/copy.png").write_bytes((tmp_path / "train/cup/train-1.png").read_bytes())
    first, second, third = class_folders.load(tmp_path, spec).warnings
    assert first.startswith("2 images are in more than one part: 2 in train and test, such as ")
    assert "train/cup/train-1.png in train = test/cup/copy.png in test" in first
    assert second.startswith("1 image is under more than one label, such as ")
    assert "train/cup/copy.png as cup" in second
    assert third.startswith("1 image is more than once in the part train, off which the validation part")


@pytest.mark.parametrize(
    "names", [("training_set", "test_set"), ("seg_train", "seg_test"), ("train2017", "val2017")]
)
def test_folders_named_like_parts_are_no_classes(
    tmp_path: Path, spec: InputSpec, write_crops: WriteCrops, names: tuple[str, str]
) -> None:
    for name in names:
        for label in ("cat", "cup"):
            write_crops(label, tmp_path / name / label, ["0.jpg"])
    with pytest.raises(InvalidInput, match=f"look like parts: {', '.join(sorted(names))}; name them train,"):
        class_folders.load(tmp_path, spec)


def test_an_image_twice_in_a_training_part_with_a_validation_part_is_no_leak(
    tmp_path: Path, spec: InputSpec, write_crops: WriteCrops
) -> None:
    for number, part in enumerate(("train", "val", "test")):
        for label in ("cat", "cup"):
            write_crops(label, tmp_path / part / label, [f"{index}.png" for index in range(2 + number)])
    (tmp_path / "train/cat/copy.png").write_bytes((tmp_path / "train/cat/0.png").read_bytes())
    assert not [line for line in class_folders.load(tmp_path, spec).warnings if "more than once" in line]
