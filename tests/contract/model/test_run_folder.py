"""The folder of a training run, as the export reads it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from spyglass.v1.model_pb2 import InputSpec
from spyglass_contract.errors import InvalidInput, ModelError
from spyglass_contract.model.run_folder import DataRecord, LeftOut, RunFolder, RunRecord


@pytest.fixture
def record(make_spec: Callable[..., InputSpec]) -> RunRecord:
    return RunRecord(
        architecture="mnist-convnet",
        description="Reads digits, “0” to “9”.",
        parameters=93_322,
        input=make_spec(),
        class_names=("0", "1"),
        data=DataRecord("mnist", "CC BY-SA 3.0", "ab" * 32),
        options={"epochs": 5, "optimizer": "adam", "rate": 0.001},
        library_versions={"keras": "3.15.1"},
        epochs=({"loss": 0.5, "accuracy": 0.8}, {"loss": 0.25, "accuracy": 0.9}),
        metrics={"test_accuracy": 0.991},
        created="2025-01-02T03:04:05+00:00",
        seconds=12.5,
        left_out=(LeftOut("cannot be read", 3, ("a.jpg", "b.jpg")),),
        data_warnings=("2 images are under more than one label",),
    )


def test_a_record_is_read_as_it_was_written(tmp_path: Path, record: RunRecord) -> None:
    folder = RunFolder(tmp_path)

    folder.write_record(record)

    assert folder.read_record() == record


def test_a_folder_without_a_record_is_not_a_run(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no run\.json"):
        RunFolder(tmp_path).read_record()


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"input": {"height": "tall"}}', "\x00"])
def test_a_file_that_is_not_a_record_is_rejected(tmp_path: Path, text: str) -> None:
    folder = RunFolder(tmp_path)
    folder.record.write_text(text)

    with pytest.raises(ModelError, match="not the record of a run"):
        folder.read_record()


def test_a_record_without_a_field_is_rejected(tmp_path: Path, record: RunRecord) -> None:
    folder = RunFolder(tmp_path)
    folder.write_record(record)
    fields = json.loads(folder.record.read_text())
    del fields["parameters"]
    folder.record.write_text(json.dumps(fields))

    with pytest.raises(ModelError, match="parameters"):
        folder.read_record()


def test_golden_images_are_sorted_by_name(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.golden.mkdir()
    for name in ("b.png", "a.jpg"):
        (folder.golden / name).write_bytes(name.encode())

    assert list(folder.read_golden().items()) == [("a.jpg", b"a.jpg"), ("b.png", b"b.png")]


def test_a_run_without_golden_images_cannot_be_exported(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no golden images"):
        RunFolder(tmp_path).read_golden()


def test_a_run_never_overwrites_another(tmp_path: Path, record: RunRecord) -> None:
    folder = RunFolder(tmp_path / "run")
    folder.create()
    folder.create()
    folder.write_record(record)

    with pytest.raises(InvalidInput, match="not empty"):
        folder.create()


def test_a_record_of_an_earlier_version_has_nothing_left_out(tmp_path: Path, record: RunRecord) -> None:
    folder = RunFolder(tmp_path)
    folder.write_record(record)
    fields = json.loads(folder.record.read_text())
    del fields["left_out"], fields["data_warnings"]
    folder.record.write_text(json.dumps(fields))
    earlier = folder.read_record()
    assert (earlier.left_out, earlier.data_warnings) == ((), ())


def test_hidden_files_are_no_golden_images(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.golden.mkdir()
    for name in ("a.jpg", "._a.jpg", ".DS_Store"):
        (folder.golden / name).write_bytes(b"content")
    assert list(folder.read_golden()) == ["a.jpg"]
