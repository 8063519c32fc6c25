"""A run that ends too early can be resumed, or leaves its folder free."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("tensorflow")

import keras

from spyglass_contract.errors import FailedPrecondition, InvalidInput, ModelError
from spyglass_contract.model.run_folder import RunFolder, RunRecord
from spyglass_training.run.distribution import is_chief, this_worker
from spyglass_training.run.training import train
from tiny_training import COLORS, QUICK, Interruption, dataset

pytestmark = pytest.mark.training

OPTIONS = dataclasses.replace(QUICK, epochs=2)


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path / "run")


def run(folder: RunFolder, **more: Any) -> RunRecord:
    return train(COLORS, dataset(), OPTIONS, folder, **more)


class Obstacle(keras.callbacks.Callback):
    """Blocks an output path once training has ended: a folder for a file, a file for a folder."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    def on_train_end(self, logs: Any = None) -> None:
        if self._path.suffix:
            self._path.mkdir()
        else:
            self._path.touch()

    def remove(self) -> None:
        if self._path.is_dir():
            self._path.rmdir()
        else:
            self._path.unlink()


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["curves.png", "golden", "confusion.png", "worst.png", "report.md", "run.json"]
)
def test_a_run_that_fails_after_its_last_epoch_can_be_finished_later(folder: RunFolder, name: str) -> None:
    obstacle = Obstacle(folder.path / name)
    with pytest.raises(OSError, match=name):
        run(folder, watchers=[obstacle])
    obstacle.remove()
    assert not folder.record.exists()
    record = run(folder, resume=True)
    assert record == folder.read_record() and len(record.epochs) == 2
    assert len(folder.read_golden()) == 7 and folder.report.stat().st_size
    assert not folder.backup.exists()


def interrupt(folder: RunFolder, epoch: int = 1) -> None:
    with pytest.raises(RuntimeError, match="interrupted"):
        run(folder, watchers=[Interruption(epoch)])


@pytest.mark.slow
def test_a_run_is_not_resumed_if_its_log_lacks_finished_epochs(folder: RunFolder) -> None:
    interrupt(folder)
    line = folder.epochs.read_text()
    folder.epochs.unlink()
    with pytest.raises(InvalidInput, match=r"has 0 of the 1 finished epochs"):
        run(folder, resume=True)
    folder.epochs.write_text(line[:40])
    with pytest.raises(InvalidInput, match=r"epochs\.jsonl is damaged"):
        run(folder, resume=True)
    folder.epochs.write_text(line)
    assert len(run(folder, resume=True).epochs) == 2


@pytest.mark.slow
def test_a_run_is_not_resumed_without_its_network(folder: RunFolder) -> None:
    interrupt(folder)
    folder.model.rename(folder.path / "elsewhere.keras")
    with pytest.raises(InvalidInput, match=r"model\.keras is missing"):
        run(folder, resume=True)


@pytest.mark.slow
def test_a_damaged_network_is_named(folder: RunFolder) -> None:
    with pytest.raises(OSError, match=r"curves\.png"):
        run(folder, watchers=[Obstacle(folder.curves)])
    folder.model.write_bytes(folder.model.read_bytes()[:5000])
    with pytest.raises(ModelError, match=r"model\.keras is not a \.keras file"):
        run(folder, resume=True)


@pytest.mark.slow
def test_a_run_that_ends_in_its_first_epoch_leaves_its_folder_free(folder: RunFolder) -> None:
    interrupt(folder, epoch=0)
    with pytest.raises(InvalidInput, match="loss became"):
        train(COLORS, dataset(), dataclasses.replace(OPTIONS, optimizer="sgd", learning_rate=1e38), folder)
    assert len(run(folder).epochs) == 2


def test_a_network_that_cannot_be_built_leaves_no_folder(folder: RunFolder) -> None:
    with pytest.raises(InvalidInput, match="too few images"):
        few = dataclasses.replace(dataset(), validation=None)
        train(COLORS, few, dataclasses.replace(OPTIONS, validation_share=0.001), folder)
    too_small = dataclasses.replace(COLORS, builder=lambda spec, classes: keras.layers.Conv2D(1, 9)(spec))
    with pytest.raises(InvalidInput, match="cannot be built"):
        train(too_small, dataset(), OPTIONS, folder)
    assert not folder.path.exists()


def test_a_file_in_place_of_the_folder_is_rejected(folder: RunFolder) -> None:
    folder.path.write_bytes(b"")
    for resume in (False, True):
        with pytest.raises(InvalidInput, match="is a file"):
            run(folder, resume=resume)


def test_only_a_folder_with_an_empty_log_is_free_and_the_error_suggests_resuming_if_possible(
    folder: RunFolder,
) -> None:
    folder.path.mkdir()
    folder.epochs.touch()
    folder.check_free()
    folder.epochs.write_text("{}")
    with pytest.raises(InvalidInput, match="--resume"):
        folder.check_free()
    folder.epochs.unlink()
    folder.backup.touch()
    with pytest.raises(InvalidInput, match="--resume"):
        folder.check_free()
    folder.record.touch()
    with pytest.raises(InvalidInput, match=r"of its own$"):
        folder.check_free()


CLUSTER = {"worker": ["localhost:1", "localhost:2"]}


@pytest.mark.parametrize(
    "config",
    [
        "garbage",
        "[]",
        json.dumps({"cluster": CLUSTER}),
        json.dumps({"cluster": CLUSTER, "task": {"type": "worker"}}),
        json.dumps({"cluster": CLUSTER, "task": {"type": "worker", "index": 2}}),
        json.dumps({"cluster": CLUSTER, "task": {"type": "worker", "index": -1}}),
        json.dumps({"cluster": CLUSTER, "task": {"type": "worker", "index": "one"}}),
        json.dumps({"cluster": CLUSTER, "task": {"type": "chief", "index": 0}}),
    ],
)
def test_an_invalid_cluster_is_rejected_with_an_example(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch, config: str
) -> None:
    monkeypatch.setenv("TF_CONFIG", config)
    with pytest.raises(InvalidInput, match=r'TF_CONFIG must name the workers .* \{"cluster"'):
        run(folder)


def test_exactly_one_worker_writes_the_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    assert this_worker() is None and is_chief()
    for config, chief in (
        ({"cluster": CLUSTER, "task": {"type": "worker", "index": 0}}, True),
        ({"cluster": CLUSTER, "task": {"type": "worker", "index": 1}}, False),
        ({"cluster": {**CLUSTER, "chief": ["localhost:3"]}, "task": {"type": "chief", "index": 0}}, True),
    ):
        monkeypatch.setenv("TF_CONFIG", json.dumps(config))
        assert is_chief() is chief
    monkeypatch.setenv("TF_CONFIG", "{}")
    assert this_worker() is None


def test_a_run_on_several_workers_cannot_be_resumed(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": CLUSTER, "task": {"type": "worker", "index": 1}}))
    with pytest.raises(FailedPrecondition, match="several workers cannot be resumed"):
        run(folder, resume=True)
