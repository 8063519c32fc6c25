"""A model has its tensors in its own file, or in regular files of its own folder."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from onnx_graphs import external_tensor, save_graph
from spyglass_contract.errors import ModelError
from spyglass_contract.model_files.limits import FileLimits
from spyglass_contract.model_files.model_file import ModelFile, check_file


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model's folder, beside a file that is none of its business."""
    (tmp_path / "secret.bin").write_bytes(bytes(8))
    folder = tmp_path / "model"
    (folder / "inner").mkdir(parents=True)
    (folder / "weights.bin").write_bytes(bytes(8))
    (folder / "inner/weights.bin").write_bytes(bytes(8))
    return folder


def check(folder: Path, location: str, **entries: int) -> ModelFile:
    tensor = external_tensor(location, **entries)
    return check_file(save_graph(folder / "model.onnx", [], initializers=[tensor]))


@pytest.mark.parametrize("location", ["weights.bin", "inner/weights.bin", "./weights.bin"])
def test_a_file_in_the_folder_is_allowed(folder: Path, location: str) -> None:
    assert check(folder, location).external == [(folder / location).resolve()]


@pytest.mark.parametrize(
    "location",
    [
        "../secret.bin",
        "inner/../../secret.bin",
        "inner/../weights.bin",
        "/dev/zero",
        "/etc/passwd",
        "",
        ".",
        "inner",
        "missing.bin",
        "weights.bin\0.png",
        "a" * 5000,
    ],
)
def test_another_place_is_refused(folder: Path, location: str) -> None:
    with pytest.raises(ModelError) as caught:
        check(folder, location)

    assert caught.value.reason == "MODEL_EXTERNAL_DATA"
    assert len(caught.value.message) < 400


def test_links_out_of_the_folder_are_refused_and_links_inside_are_not(folder: Path) -> None:
    (folder / "inside.bin").symlink_to("weights.bin")
    (folder / "outside.bin").symlink_to("../secret.bin")
    (folder / "parent").symlink_to("..")
    (folder / "loop.bin").symlink_to("loop.bin")

    check(folder, "inside.bin")
    for location in ("outside.bin", "parent/secret.bin", "loop.bin"):
        with pytest.raises(ModelError) as caught:
            check(folder, location)
        assert caught.value.reason == "MODEL_EXTERNAL_DATA"


def test_a_pipe_is_refused_without_waiting_for_its_writer(folder: Path) -> None:
    os.mkfifo(folder / "pipe")

    with pytest.raises(ModelError, match="not a regular file"):
        check(folder, "pipe")


@pytest.mark.parametrize(("offset", "length", "fits"), [(0, 8, 1), (4, 4, 1), (4, 5, 0), (9, 0, 0)])
def test_a_tensor_must_be_inside_of_the_file(folder: Path, offset: int, length: int, fits: int) -> None:
    if fits:
        check(folder, "weights.bin", offset=offset, length=length)
        return
    with pytest.raises(ModelError, match="which has 8"):
        check(folder, "weights.bin", offset=offset, length=length)


@pytest.mark.parametrize("offset", ["-1", "1e3", "ten", "9" * 30])
def test_an_offset_must_be_a_number_of_bytes(folder: Path, offset: str) -> None:
    with pytest.raises(ModelError, match="must be a number of bytes"):
        check(folder, "weights.bin", offset=offset)  # type: ignore[arg-type]


def test_external_data_counts_as_bytes_of_the_model(folder: Path) -> None:
    path = save_graph(folder / "model.onnx", [], initializers=[external_tensor("weights.bin")])

    check_file(path, FileLimits(max_bytes=path.stat().st_size + 8))
    with pytest.raises(ModelError, match="set --max-model-bytes"):
        check_file(path, FileLimits(max_bytes=path.stat().st_size + 7))


def test_a_file_of_tensors_that_is_replaced_after_the_check_is_noticed(folder: Path) -> None:
    file = check(folder, "weights.bin")
    file.check_external()
    other = folder / "other"
    other.write_bytes(bytes(8))
    other.replace(folder / "weights.bin")

    with pytest.raises(ModelError) as caught:
        file.check_external()
    assert caught.value.reason == "MODEL_CHANGED"
