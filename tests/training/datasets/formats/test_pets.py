"""Images and trimaps in the layout of Oxford-IIIT Pet are a data set for segmentation."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from spyglass.v1.model_pb2 import RESIZE_RULE_PAD, TASK_SEGMENT, InputSpec
from spyglass_contract.errors import ImageError, InvalidInput, NotFound
from spyglass_training.datasets.about import About, write_about
from spyglass_training.datasets.formats import pets
from spyglass_training.datasets.reading.options import ReadingOptions

WriteCrops = Callable[..., list[Path]]


@pytest.fixture
def folder(tmp_path: Path, write_crops: WriteCrops) -> Path:
    """Ten images of 90 × 60 and their trimaps: foreground at the left, contour, background at the right."""
    names = [f"Cat_{index}" for index in range(10)]
    write_crops("cat", tmp_path / "images", [f"{name}.jpg" for name in names])
    trimaps = tmp_path / "annotations/trimaps"
    trimaps.mkdir(parents=True)
    for index, name in enumerate(names):
        values = np.full((60, 90), 2, np.uint8)
        values[:, : 30 + index] = 1
        values[:, 30 + index : 36 + index] = 3
        Image.fromarray(values).save(trimaps / f"{name}.png")
    # The original archive has such files.
    (trimaps / "._Cat_1.png").write_bytes(b"of a Macintosh")
    return tmp_path


def write_list(folder: Path, name: str, numbers: range) -> None:
    lines = "".join(f"Cat_{number} 1 1 1\n" for number in numbers)
    (folder / "annotations" / name).write_text(f"# Image CLASS-ID SPECIES BREED-ID\n{lines}")


def test_masks_match_their_images_and_count_from_zero(folder: Path, spec: InputSpec) -> None:
    write_list(folder, "trainval.txt", range(7))
    write_list(folder, "test.txt", range(7, 10))
    dataset = pets.load(folder, spec)
    assert dataset.class_names == ("foreground", "background", "contour") and dataset.task == TASK_SEGMENT
    assert dataset.train.pixels.shape == (7, 16, 24, 3)
    assert dataset.train.labels.shape == (7, 16, 24) and dataset.train.labels.dtype == np.uint8
    assert (dataset.record.name, dataset.record.licence) == ("Oxford-IIIT Pet", "CC BY-SA 4.0")
    # The centre of column c of 24 lies at pixel (c + 0.5) · 90 / 24 of the image.
    centres = (np.arange(24) + 0.5) * 90 / 24
    for split, first in ((dataset.train, 0), (dataset.test, 7)):
        for index, mask in enumerate(split.labels, start=first):
            expected = np.where(centres < 30 + index, 0, np.where(centres < 36 + index, 2, 1))
            np.testing.assert_array_equal(mask, np.tile(expected, (16, 1)))


def test_the_area_outside_the_image_is_background(folder: Path, spec: InputSpec) -> None:
    padded = InputSpec()
    padded.CopyFrom(spec)
    padded.height, padded.resize = 24, RESIZE_RULE_PAD
    masks = pets.load(folder, padded).train.labels
    assert (masks[:, :4] == 1).all() and (masks[:, 20:] == 1).all()
    assert (masks[:, 4:20, 0] == 0).all()


def test_lists_define_the_parts_and_without_lists_a_fifth_is_for_testing(
    folder: Path, spec: InputSpec
) -> None:
    dataset = pets.load(folder, spec)
    assert (len(dataset.train), len(dataset.test), dataset.validation) == (8, 2, None)
    write_list(folder, "train.txt", range(5))
    write_list(folder, "validation.txt", range(5, 8))
    write_list(folder, "test.txt", range(8, 10))
    write_about(folder, About("Half a cat", "CC0"))
    dataset = pets.load(folder, spec)
    assert dataset.validation is not None
    assert (len(dataset.train), len(dataset.validation), len(dataset.test)) == (5, 3, 2)
    assert dataset.record.name == "Half a cat"


def test_masks_are_cached_and_mapped_like_images(folder: Path, spec: InputSpec, tmp_path: Path) -> None:
    whole = pets.load(folder, spec)
    options = ReadingOptions(cache=tmp_path / "cache", memory_bytes=1)
    mapped = pets.load(folder, spec, options)
    assert isinstance(mapped.test.labels, np.memmap)
    np.testing.assert_array_equal(mapped.test.labels, whole.test.labels)
    Image.new("L", (90, 60), 1).save(folder / "annotations/trimaps/Cat_0.png")
    again = pets.load(folder, spec, options)
    assert again.record.sha256 != whole.record.sha256


def test_the_error_names_invalid_trimaps(folder: Path, spec: InputSpec) -> None:
    trimaps = folder / "annotations/trimaps"
    Image.new("L", (60, 90), 1).save(trimaps / "Cat_0.png")
    Image.new("L", (90, 60), 4).save(trimaps / "Cat_1.png")
    (trimaps / "Cat_2.png").write_bytes(b"nothing")
    write_list(folder, "train.txt", range(8))
    write_list(folder, "test.txt", range(8, 10))
    (trimaps / "Cat_3.png").unlink()
    with pytest.raises(ImageError) as raised:
        pets.load(folder, spec)
    lines = str(raised.value).splitlines()
    assert "Cat_0.jpg: the image is 90×60, its mask 60×90" in lines[1]
    assert "Cat_1.jpg: its trimap must have only the values 1, 2 and 3" in lines[2]
    assert "Cat_2.jpg" in lines[3] and "Cat_3.jpg: cannot read its trimap" in lines[4]
    (folder / "images/Cat_4.jpg").unlink()
    with pytest.raises(ImageError, match=r"Cat_4\.jpg: the file does not exist"):
        pets.load(folder, spec)
    dataset = pets.load(folder, spec, ReadingOptions(skip_corrupt=True))
    assert len(dataset.train) == 3 and len(dataset.skipped) == 5


def test_the_error_for_empty_folders_names_the_expected_files(tmp_path: Path, spec: InputSpec) -> None:
    for name in ("images", "annotations/trimaps"):
        (tmp_path / name).mkdir(parents=True)
    with pytest.raises(InvalidInput, match=r"no images in the part 'train'.*images/\*\.jpg"):
        pets.load(tmp_path, spec)


def test_the_error_for_another_layout_names_the_layout_and_the_source(
    tmp_path: Path, spec: InputSpec
) -> None:
    with pytest.raises(NotFound, match=r"trimaps.*CC BY-SA 4\.0.*robots\.ox\.ac\.uk"):
        pets.load(tmp_path, spec)


def test_images_of_any_suffix_are_found_and_those_left_out_are_counted(folder: Path, spec: InputSpec) -> None:
    with Image.open(folder / "images/Cat_0.jpg") as image:
        image.save(folder / "images/Cat_0.png")
    (folder / "images/Cat_0.jpg").unlink()
    (folder / "images/Cat_1.jpg").rename(folder / "images/Cat_1.jfif")
    write_list(folder, "train.txt", range(5))
    write_list(folder, "val.txt", range(5, 7))
    write_list(folder, "test.txt", range(7, 9))
    dataset = pets.load(folder, spec)
    assert dataset.validation is not None
    assert (len(dataset.train), len(dataset.validation), len(dataset.test)) == (5, 2, 2)
    (entry,) = dataset.left_out
    assert (entry.reason, entry.count) == ("in no list of annotations", 1)
    assert entry.examples == ("images/Cat_9.jpg",)


def test_without_lists_an_image_without_a_trimap_is_counted(folder: Path, spec: InputSpec) -> None:
    (folder / "annotations/trimaps/Cat_3.png").unlink()
    (entry,) = pets.load(folder, spec).left_out
    assert (entry.reason, entry.examples) == ("without a trimap", ("images/Cat_3.jpg",))


def test_one_image_in_two_parts_is_warned_of(folder: Path, spec: InputSpec) -> None:
    write_list(folder, "train.txt", range(7))
    write_list(folder, "test.txt", range(6, 10))
    (warning,) = pets.load(folder, spec).warnings
    assert warning.startswith("1 image is in more than one part: 1 in train and test")


def test_a_second_image_of_one_name_and_a_missing_test_list_are_said(folder: Path, spec: InputSpec) -> None:
    with Image.open(folder / "images/Cat_0.jpg") as image:
        image.save(folder / "images/Cat_0.png")
    write_list(folder, "train.txt", range(10))
    dataset = pets.load(folder, spec)
    assert (len(dataset.train), len(dataset.test)) == (8, 2)
    assert dataset.warnings == ("there is no test part: 2 of the training images are used for testing",)
    (entry,) = dataset.left_out
    assert entry.reason == "another image has the same name before the suffix"
    assert entry.examples == ("images/Cat_0.png",)
