"""A part of a large collection is selected by the numbers of its images."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from spyglass_contract.errors import InvalidInput, NotFound
from spyglass_training.datasets.about import About, write_about
from spyglass_training.datasets.subset import make_subset

WriteCrops = Callable[..., list[Path]]

SIZES = {"train": 5, "validation": 2, "test": 4}


def names(folder: Path) -> list[str]:
    return sorted((path.name for path in folder.iterdir()), key=lambda name: (len(name), name))


def test_numbered_images_go_to_the_parts_in_the_order_of_their_numbers(
    tmp_path: Path, write_crops: WriteCrops
) -> None:
    for label in ("cat", "dog"):
        write_crops("cat", tmp_path / "all", [f"{label}.{index}.jpg" for index in range(12)])
    write_about(tmp_path / "all", About("Cats and dogs", "for research"))
    assert make_subset(tmp_path / "all", tmp_path / "small", SIZES) == {
        "train": 10,
        "validation": 4,
        "test": 8,
    }
    for label in ("cat", "dog"):
        for part, numbers in (("train", range(5)), ("validation", range(5, 7)), ("test", range(7, 11))):
            found = tmp_path / "small" / part / label
            assert names(found) == [f"{label}.{number}.jpg" for number in numbers]
    original = (tmp_path / "all/dog.10.jpg").read_bytes()
    assert (tmp_path / "small/test/dog/dog.10.jpg").read_bytes() == original
    assert "for research" in (tmp_path / "small/about.json").read_text()


def test_one_folder_for_each_class_is_read_as_well(tmp_path: Path, write_crops: WriteCrops) -> None:
    for label in ("cat", "cup"):
        write_crops(label, tmp_path / "all" / label, [f"image{index}.png" for index in range(11)])
    make_subset(tmp_path / "all", tmp_path / "small", SIZES)
    assert names(tmp_path / "small/test/cup") == [f"image{number}.png" for number in range(7, 11)]


def test_too_few_images_or_a_used_folder_write_no_files(tmp_path: Path, write_crops: WriteCrops) -> None:
    write_crops("cat", tmp_path / "all", [f"cat.{index}.jpg" for index in range(11)])
    write_crops("cat", tmp_path / "all", [f"dog.{index}.jpg" for index in range(10)])
    with pytest.raises(InvalidInput, match="'dog' must have at least 11 images, not 10"):
        make_subset(tmp_path / "all", tmp_path / "small", SIZES)
    assert not (tmp_path / "small").exists()
    with pytest.raises(InvalidInput, match="not empty"):
        make_subset(tmp_path / "all", tmp_path / "all", {"train": 1})
    for inside in (tmp_path / "all/small", tmp_path / "all/cat/../small"):
        with pytest.raises(InvalidInput, match=r"must not lie in .*all, which is read"):
            make_subset(tmp_path / "all", inside, {"train": 1})
    assert not (tmp_path / "all/small").exists()
    with pytest.raises(NotFound, match=r"kaggle\.com"):
        make_subset(tmp_path / "nowhere", tmp_path / "small", SIZES)


def test_images_in_sub_folders_of_a_class_are_taken_and_what_is_left_out_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in (
        "cat/1.jpg",
        "cat/more/1.jpg",
        "cat/more/2.heic",
        "cup/1.jpg",
        "cup/2.jfif",
        "__MACOSX/1.jpg",
    ):
        (tmp_path / "source" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "source" / name).write_text(name)
    assert make_subset(tmp_path / "source", tmp_path / "small", {"train": 2}) == {"train": 4}
    copied = sorted(str(path.relative_to(tmp_path / "small")) for path in (tmp_path / "small").rglob("*.j*"))
    assert copied == ["train/cat/1.jpg", "train/cat/more/1.jpg", "train/cup/1.jpg", "train/cup/2.jfif"]
    assert "left out 1: the suffix .heic is not that of an image (cat/more/2.heic)" in caplog.text
