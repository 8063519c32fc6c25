"""Which files of a folder are images, and why the others are not."""

from __future__ import annotations

from pathlib import Path

import pytest

from spyglass_contract.images.folders import HIDDEN, files_below, is_hidden, not_an_image
from spyglass_contract.images.formats import IMAGE_SUFFIXES


@pytest.mark.parametrize("suffix", sorted(IMAGE_SUFFIXES))
def test_every_suffix_of_an_image_counts_in_any_case(suffix: str) -> None:
    assert not_an_image(f"image{suffix}") == "" and not_an_image(f"IMAGE.v2{suffix.upper()}") == ""


@pytest.mark.parametrize(
    "name",
    ["._image.jpg", ".hidden.png", ".DS_Store", "__MACOSX", "Thumbs.db", "desktop.ini", "@eaDir", "Icon\r"],
)
def test_hidden_files_and_sidecars_are_no_images(name: str) -> None:
    assert is_hidden(name) and not_an_image(name) == HIDDEN


def test_the_reason_names_the_suffix() -> None:
    assert not_an_image("image.HEIC") == "the suffix .heic is not that of an image"
    assert not_an_image("README") == "without the suffix of an image"


def test_every_file_below_a_folder_is_found_in_order_and_hidden_folders_are_not_searched(
    tmp_path: Path,
) -> None:
    names = ("b/2.jpg", "b/1.jfif", "a.png", "notes.txt", "__MACOSX/._a.png", ".cache/x.jpg", "b/c/3.tif")
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found = [(str(file.path.relative_to(tmp_path)), file.is_image) for file in files_below(tmp_path)]
    assert found == [
        (".cache", False),
        ("__MACOSX", False),
        ("a.png", True),
        ("notes.txt", False),
        ("b/1.jfif", True),
        ("b/2.jpg", True),
        ("b/c/3.tif", True),
    ]


def test_links_to_folders_are_followed_and_no_folder_is_read_twice(tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    (tmp_path / "far/1.jpg").touch()
    folder = tmp_path / "near"
    folder.mkdir()
    for name, target in (("link", tmp_path / "far"), ("again", tmp_path / "far"), ("loop", folder)):
        (folder / name).symlink_to(target)
    assert [file.path for file in files_below(folder)] == [folder / "again/1.jpg"]


def test_a_folder_that_cannot_be_read_is_found_with_the_reason(tmp_path: Path) -> None:
    (found,) = files_below(tmp_path / "missing")
    assert found.path == tmp_path / "missing" and "cannot be read" in found.reason
