"""Names and paths of repositories that may become files on this machine."""

from __future__ import annotations

import pytest

from spyglass_server.engine.models.stores.names import is_file_path, is_name, is_version


@pytest.mark.parametrize("text", ["a", "imagenet-v2", "Größe", "a" * 200])
def test_names(text: str) -> None:
    assert is_name(text)


@pytest.mark.parametrize(
    "text",
    ["", ".", "..", ".a", "a/b", "a\\b", "a b", "a:1", "a@b", "a\0", "a\n", "a" * 201, "ä" * 101, "\ud800"],
)
def test_what_is_no_name(text: str) -> None:
    assert not is_name(text)


@pytest.mark.parametrize("text", ["model.onnx", "a/b/c/d", "with space.bin"])
def test_paths(text: str) -> None:
    assert is_file_path(text)


@pytest.mark.parametrize(
    "text",
    ["", "/a", "a/", "a//b", "../a", "a/../b", "a/.b", "a\\..\\b", "a/b/c/d/e", "a\0", "x" * 201],
)
def test_what_is_no_path(text: str) -> None:
    assert not is_file_path(text)


@pytest.mark.parametrize(("text", "expected"), [("1", True), ("10", True), ("0", False), ("01", False)])
def test_versions(text: str, expected: bool) -> None:
    assert is_version(text) is expected
    assert not is_version(f"{text}x")
    assert not is_version(f"-{text}")
    assert not is_version("9" * 19)
