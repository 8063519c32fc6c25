"""The images that the PATHs of a command line name."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from spyglass_cli.asking.sources import Source, find_sources


@pytest.fixture(autouse=True)
def working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def touch(*names: str) -> None:
    for name in names:
        path = Path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def paths(*arguments: str) -> list[str]:
    return [source.path for source in find_sources(arguments)]


def test_a_file_is_taken_whatever_its_suffix() -> None:
    touch("image", "notes.txt")
    assert paths("image", "notes.txt") == ["image", "notes.txt"]


def test_a_folder_gives_its_images_by_name_and_then_those_of_its_folders() -> None:
    touch("album/b.PNG", "album/a.jpg", "album/notes.txt", "album/y/d.webp", "album/x/c.tiff")
    assert paths("album") == ["album/a.jpg", "album/b.PNG", "album/x/c.tiff", "album/y/d.webp"]


def test_a_glob_gives_its_matches_by_name() -> None:
    touch("b.png", "a.png", "deep/er/c.png")
    assert paths("*.png") == ["a.png", "b.png"]
    assert paths("**/*.png") == ["a.png", "b.png", "deep/er/c.png"]


def test_a_glob_that_matches_a_folder_gives_its_images() -> None:
    touch("album 1/a.png", "album 2/b.png")
    assert paths("album*") == ["album 1/a.png", "album 2/b.png"]


def test_a_file_whose_name_looks_like_a_glob_is_that_file() -> None:
    touch("holiday[1].jpg", "holiday1.jpg")
    assert paths("holiday[1].jpg") == ["holiday[1].jpg"]


def test_the_order_of_the_command_line_is_kept() -> None:
    touch("z.png", "album/a.png")
    assert paths("z.png", "-", "album") == ["z.png", "-", "album/a.png"]


@pytest.mark.parametrize("path", ["empty", "*.gif"])
def test_a_path_without_an_image_is_reported(path: str) -> None:
    Path("empty").mkdir()
    (source,) = find_sources([path])
    assert source.path == path
    assert source.error is not None
    assert source.error.reason == "IMAGE_NOT_FOUND"


def test_a_missing_file_is_returned_and_fails_when_it_is_opened() -> None:
    assert find_sources(["missing.jpg"]) == [Source("missing.jpg")]


def test_a_broken_link_is_returned_and_fails_when_it_is_opened() -> None:
    os.symlink("nowhere", "link[1].jpg")
    assert find_sources(["link[1].jpg"]) == [Source("link[1].jpg")]


def test_a_folder_with_a_link_to_itself_is_read_once() -> None:
    touch("album/a.png")
    os.symlink("..", "album/up")
    assert paths("album") == ["album/a.png"]


def test_hidden_files_and_sidecar_files_are_skipped() -> None:
    touch("album/IMG_1.jpg", "album/._IMG_1.jpg", "album/.trash/a.jpg", "album/__MACOSX/b.jpg")
    touch("album/Thumbs.db", "album/.DS_Store")
    for path in ("album", "album/", "./album", "a*", "**"):
        assert [os.path.normpath(found) for found in paths(path)].count("album/IMG_1.jpg") >= 1
        assert all(os.path.basename(found) == "IMG_1.jpg" for found in paths(path))
    assert paths("album/*") == ["album/IMG_1.jpg"]


def test_every_suffix_of_an_image_is_found_in_a_folder() -> None:
    touch("album/a.jfif", "album/b.JPE", "album/c.heic")
    assert paths("album") == ["album/a.jfif", "album/b.JPE"]


def test_a_hidden_folder_that_is_named_is_searched() -> None:
    touch(".cache/a.jpg", ".cache/b/c.jpg")
    assert paths(".cache") == [".cache/a.jpg", ".cache/b/c.jpg"]
    assert paths(".cache/*.jpg") == [".cache/a.jpg"]


def test_the_error_of_a_folder_without_images_names_the_suffixes_of_its_files() -> None:
    touch("album/a.heic", "album/b.heic", "album/notes", "album/.DS_Store")
    (source,) = find_sources(["album"])
    assert source.error is not None
    expected = "this folder has no images: the suffix .heic is not that of an image (2)"
    assert source.error.message.startswith(expected)
