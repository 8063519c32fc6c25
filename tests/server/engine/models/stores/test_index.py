"""The index of a repository."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from spyglass_contract.errors import ModelError
from spyglass_server.engine.models.stores.index import (
    MAX_INDEX_BYTES,
    IndexedFile,
    IndexedVersion,
    index_of,
    read_index,
    write_index,
)

FILE = {"path": "model.onnx", "sha256": "0" * 64, "bytes": 1}


def document(*files: dict[str, Any], **changes: Any) -> bytes:
    version = {"name": "a", "version": 1, "files": list(files) or [FILE], **changes}
    return json.dumps({"format": 1, "models": [version]}).encode()


def write(folder: Path, **files: str) -> None:
    for path, text in files.items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


def test_an_index_has_every_file_of_every_version(tmp_path: Path) -> None:
    write(tmp_path, **{"a/1/model.onnx": "one", "a/2/model.onnx": "two", "a/2/data/w.bin": "weights"})
    write(tmp_path, **{"a/2/.hidden": "", "a/routing.json": "{}", "a/3/no-model": "", "b/1/model.onnx": ""})
    (tmp_path / "a/2/link.bin").symlink_to(tmp_path / "a/1/model.onnx")
    index = index_of(tmp_path)
    assert [(found.name, found.version) for found in index.models] == [("a", 1), ("a", 2), ("b", 1)]
    one = "7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed"
    assert index.models[0] == IndexedVersion("a", 1, (IndexedFile("model.onnx", one, 3),))
    assert [file.path for file in index.models[1].files] == ["data/w.bin", "link.bin", "model.onnx"]
    assert read_index(write_index(index), "here") == index


def test_a_folder_without_models_has_no_index(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"has no file NAME/VERSION/model.onnx"):
        index_of(tmp_path)
    with pytest.raises(ModelError, match="cannot be read"):
        index_of(tmp_path / "nowhere")


@pytest.mark.parametrize("name", ["a b", "a:b"])
def test_a_name_that_no_request_can_have_is_refused(tmp_path: Path, name: str) -> None:
    write(tmp_path, **{f"{name}/1/model.onnx": ""})
    with pytest.raises(ModelError, match="rename the folder"):
        index_of(tmp_path)


def test_folders_in_folders_without_end_are_refused(tmp_path: Path) -> None:
    write(tmp_path, **{"a/1/model.onnx": ""})
    (tmp_path / "a/1/again").symlink_to(tmp_path / "a/1")
    with pytest.raises(ModelError, match="is too deep"):
        index_of(tmp_path)


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "EOF"),
        (b"<html>", "the text: Invalid JSON"),
        (b"\xff\xfe", "the text"),
        (b"[]", "object"),
        (b"[" * 100_000, "the text"),
        (b'{"format": 2, "models": []}', "format: Input should be 1"),
        (b'{"format": 1}', "models: Field required"),
        (document({**FILE, "path": "../model.onnx"}), "expected a path inside"),
        (document({**FILE, "path": "/etc/passwd"}), "expected a path inside"),
        (document({**FILE, "sha256": "0" * 63}), r"sha256: String should match"),
        (document({**FILE, "bytes": -1}), "bytes: Input should be greater"),
        (document({**FILE, "bytes": 1e300}), r"bytes: "),
        (document(FILE, FILE), "a/1 has a file twice"),
        (document({**FILE, "path": "other"}), r"a/1 has no model\.onnx"),
        (document(FILE, {**FILE, "path": "model.onnx/x"}), "a file inside a file"),
        (document(*[{**FILE, "path": f"{n}"} for n in range(1001)]), "at most 1000 items"),
        (document(name="../a"), "expected a name of a model"),
        (document(name="x" * 100_000), "expected a name of a model"),
        (document(version=0), "version: Input should be greater"),
        (document(version=10**30), "version"),
        (document()[:-2] + b"," + document()[25:], "a/1 twice"),
        (b" " * (MAX_INDEX_BYTES + 1), "more than 16777216 bytes"),
    ],
)
def test_an_invalid_index_is_refused(data: bytes, problem: str) -> None:
    with pytest.raises(ModelError, match=problem) as caught:
        read_index(data, "https://host/models.json")
    assert caught.value.reason == "STORE_INDEX_INVALID"
    assert caught.value.message.startswith("https://host/models.json is not an index of models")
    assert "spyglass models index" in caught.value.message
    assert len(caught.value.message) < 500
