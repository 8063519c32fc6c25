"""A list of paths and labels is a data set."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from spyglass.v1.model_pb2 import InputSpec
from spyglass_contract.errors import ImageError, InvalidInput, NotFound
from spyglass_training.datasets.formats import listing
from spyglass_training.datasets.reading.options import ReadingOptions

WriteCrops = Callable[..., list[Path]]


@pytest.fixture(autouse=True)
def images(tmp_path: Path, write_crops: WriteCrops) -> None:
    for label in ("cat", "cup"):
        write_crops(label, tmp_path / "images", [f"{label}{index}.png" for index in range(5)])


def test_csv_and_json_lines_give_the_same_data_set(tmp_path: Path, spec: InputSpec) -> None:
    rows = [
        {"path": f"images/{label}{index}.png", "label": label, "part": part}
        for label in ("cup", "cat")
        for index, part in enumerate(("train", "train", "train", "validation", "test"))
    ]
    (tmp_path / "list.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    # With a byte order mark, as spreadsheets write it, and a further column.
    lines = [f"{row['label']},{row['path']},{row['part']},me\r\n" for row in rows]
    (tmp_path / "list.csv").write_text("".join(["\ufefflabel,path,part,by\r\n", *lines]), encoding="utf-8")
    by_json, by_csv = (listing.load(tmp_path / f"list.{suffix}", spec) for suffix in ("jsonl", "csv"))
    for dataset in (by_json, by_csv):
        assert dataset.class_names == ("cat", "cup")
        assert dataset.train.labels.tolist() == [1, 1, 1, 0, 0, 0]
        assert dataset.validation is not None and dataset.validation.labels.tolist() == [1, 0]
    np.testing.assert_array_equal(by_json.test.pixels, by_csv.test.pixels)
    assert by_json.record.sha256 == by_csv.record.sha256


def test_without_parts_each_class_is_split_and_numeric_labels_are_ordered_by_value(
    tmp_path: Path, spec: InputSpec
) -> None:
    labels = {"cat": "10", "cup": "9"}
    lines = [f"images/{name}{index}.png,{labels[name]}\n" for name in labels for index in range(5)]
    (tmp_path / "list.csv").write_text("path,label\n" + "".join(lines))
    dataset = listing.load(tmp_path / "list.csv", spec)
    assert dataset.class_names == ("9", "10") and dataset.validation is None
    assert np.bincount(dataset.train.labels).tolist() == [4, 4]
    assert np.bincount(dataset.test.labels).tolist() == [1, 1]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        (
            "list.csv",
            "file,class\nimages/cat0.png,cat\n",
            r"line 1 must name .* without path and label, found: file, class",
        ),
        ("list.csv", "path;label\nimages/cat0.png;cat\n", "separated by commas"),
        ("list.csv", "path,label\nimages/cat0.png,cat,grey\n", "line 2 has 3 fields, but line 1 has 2"),
        (
            "list.csv",
            "path,label\nimages/cat0.png,cat\nimages/cup0.png,\n",
            "line 3: expected a path and a label",
        ),
        (
            "list.csv",
            "path,label,part\nimages/cat0.png,cat,spare\n",
            "line 2: part must be one of train, validation, test, not 'spare'",
        ),
        (
            "list.csv",
            "path,label,part\nimages/cat0.png,a,test\nimages/cup0.png,b,\n",
            "must state the part of all images or of none",
        ),
        ("list.jsonl", '{"path": "images/cat0.png", "label": "a"}\n\nnonsense\n', "line 3"),
        ("list.csv", "path,label\nimages/cat0.png,cat\n", "fewer than two classes: cat"),
        ("list.csv", "", "fewer than two classes: none"),
    ],
)
def test_invalid_lines_are_rejected_with_their_number(
    tmp_path: Path, spec: InputSpec, name: str, text: str, message: str
) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(InvalidInput, match=message):
        listing.load(tmp_path / name, spec)


def test_the_error_for_a_missing_or_empty_list_names_it_and_the_format(
    tmp_path: Path, spec: InputSpec
) -> None:
    with pytest.raises(NotFound, match=r"nowhere\.csv.*columns path and label"):
        listing.load(tmp_path / "nowhere.csv", spec)
    for text in ("", "path,label\n"):
        (tmp_path / "empty.csv").write_text(text)
        with pytest.raises(
            InvalidInput, match=r"empty\.csv has fewer than two classes.*columns path and label"
        ):
            listing.load(tmp_path / "empty.csv", spec)


def test_missing_images_are_all_named_or_skipped_like_corrupt_ones(tmp_path: Path, spec: InputSpec) -> None:
    lines = [f"images/{label}{index}.png,{label}\n" for label in ("cat", "cup") for index in range(7)]
    (tmp_path / "list.csv").write_text("".join(["path,label\n", *lines]))
    with pytest.raises(ImageError, match=r"read 4 images:\n(.*\n)*.*cup6\.png: the file does not exist"):
        listing.load(tmp_path / "list.csv", spec)
    dataset = listing.load(tmp_path / "list.csv", spec, ReadingOptions(skip_corrupt=True))
    assert len(dataset.train) + len(dataset.test) == 10 and len(dataset.skipped) == 4


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("list.csv", "path,label\nimages/cat0.png,Café\n".encode("latin-1"), "it is not UTF-8 text"),
        ("list.jsonl", '{"path": "a.png", "label": "Café"}\n'.encode("latin-1"), "it is not UTF-8 text"),
        ("list.csv", b"path,label\n" + b"x" * 200_000 + b",cat\n", "field larger than"),
    ],
)
def test_the_error_names_a_file_that_is_not_a_list(
    tmp_path: Path, spec: InputSpec, name: str, content: bytes, message: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InvalidInput, match=f"{name} is not a list of images: {message}"):
        listing.load(tmp_path / name, spec)


def test_blanks_and_the_case_of_the_columns_have_no_effect(tmp_path: Path, spec: InputSpec) -> None:
    lines = [
        f" images/{label}{index}.png ,\t{label} , {part}\u00a0\n"
        for label in ("cup", "cat")
        for index, part in enumerate(("Train", "train ", " train", "val", "TEST"))
    ]
    (tmp_path / "list.csv").write_text("".join(["Path , LABEL, part\n", *lines, " , ,\n"]))
    dataset = listing.load(tmp_path / "list.csv", spec)
    assert dataset.class_names == ("cat", "cup") and dataset.warnings == ()
    assert dataset.validation is not None
    assert [len(part) for part in (dataset.train, dataset.validation, dataset.test)] == [6, 2, 2]
    rows = [
        {"path": f" images/{name}{index}.png", "label": f"{name} ", "part": " dev" if index else "train"}
        for name in ("cat", "cup")
        for index in range(2)
    ]
    (tmp_path / "list.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert {entry.label for entry in listing.read_entries(tmp_path / "list.jsonl")} == {"cat", "cup"}
    assert {entry.part for entry in listing.read_entries(tmp_path / "list.jsonl")} == {"train", "validation"}


def test_labels_that_differ_in_their_case_only_are_warned_of(tmp_path: Path, spec: InputSpec) -> None:
    lines = [
        f"images/{name}{index}.png,{label}\n"
        for name, label in (("cat", "Cat"), ("cup", "cat"))
        for index in range(5)
    ]
    (tmp_path / "list.csv").write_text("path,label\n" + "".join(lines))
    (warning,) = listing.load(tmp_path / "list.csv", spec).warnings
    assert warning.startswith("the labels 'Cat' and 'cat' are different classes")


def test_a_path_that_is_listed_again_is_warned_of_if_its_part_or_label_differs(
    tmp_path: Path, spec: InputSpec
) -> None:
    lines = [f"images/{name}{index}.png,{name},train\n" for name in ("cat", "cup") for index in range(4)]
    lines += ["images/cat4.png,cat,test\n", "images/cat0.png,cat,test\n", "images/cup0.png,cat,train\n"]
    (tmp_path / "list.csv").write_text("".join(["path,label,part\n", *lines]))
    parts, labels, repeated = listing.load(tmp_path / "list.csv", spec).warnings
    assert "1 image is in more than one part: 1 in train and test" in parts
    assert "images/cup0.png as cup = images/cup0.png as cat" in labels
    assert repeated.startswith("1 image is more than once in the part train")


def test_parts_without_a_test_part_give_a_fifth_of_the_training_part(tmp_path: Path, spec: InputSpec) -> None:
    parts = ("train",) * 4 + ("val",)
    lines = [
        f"images/{name}{index}.png,{name},{parts[index]}\n" for name in ("cat", "cup") for index in range(5)
    ]
    (tmp_path / "list.csv").write_text("".join(["path,label,part\n", *lines]))
    dataset = listing.load(tmp_path / "list.csv", spec)
    assert dataset.validation is not None
    assert (len(dataset.train), len(dataset.validation), len(dataset.test)) == (6, 2, 2)
    assert "there is no test part: 2 of the training images are used for testing" in dataset.warnings
