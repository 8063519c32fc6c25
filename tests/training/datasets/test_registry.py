"""A data set is opened by its kind, by its name, or by detection of its kind."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("keras")

from spyglass.v1.model_pb2 import TASK_CLASSIFY, TASK_SEGMENT, InputSpec
from spyglass_contract.errors import InvalidInput, NotFound
from spyglass_training.datasets.reading.options import ReadingOptions
from spyglass_training.datasets.registry import KINDS, open_dataset
from spyglass_training.datasets.splits import stratified

pytestmark = pytest.mark.training

WriteCrops = Callable[..., list[Path]]


@pytest.fixture
def digits(tmp_path: Path) -> Path:
    path = tmp_path / "digits.npz"
    images, labels = np.zeros((10, 28, 28), np.uint8), np.arange(10, dtype=np.uint8)
    np.savez(path, x_train=images, y_train=labels, x_test=images, y_test=labels)
    return path


def test_the_kind_is_detected(tmp_path: Path, digits: Path, spec: InputSpec, write_crops: WriteCrops) -> None:
    assert open_dataset(None, digits, spec).record.name == "MNIST"
    for label in ("cat", "cup"):
        write_crops(label, tmp_path / "folders" / label, [f"{index}.jpg" for index in range(5)])
    assert open_dataset(None, str(tmp_path / "folders"), spec).class_names == ("cat", "cup")
    lines = "".join(f"{label}/{index}.jpg,{label}s\n" for label in ("cat", "cup") for index in range(5))
    (tmp_path / "folders/list.csv").write_text("path,label\n" + lines)
    listed = open_dataset(None, tmp_path / "folders/list.csv", spec, ReadingOptions(seed=3))
    assert listed.class_names == ("cats", "cups")


def test_a_name_alone_opens_the_cache_of_keras(
    digits: Path, spec: InputSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERAS_HOME", str(digits.parent))
    with pytest.raises(NotFound, match=r"datasets/mnist\.npz.*CC BY-SA 3\.0"):
        open_dataset(None, "mnist", spec)
    with pytest.raises(NotFound, match=r"datasets/fashion-mnist.*MIT"):
        open_dataset("fashion-mnist", "fashion-mnist", spec)
    (digits.parent / "datasets").mkdir()
    digits.rename(digits.parent / "datasets/mnist.npz")
    assert len(open_dataset(None, "mnist", spec).train) == 10


def test_a_given_kind_overrides_the_detection(digits: Path, spec: InputSpec) -> None:
    with pytest.raises(InvalidInput, match="is not Fashion-MNIST"):
        open_dataset("fashion-mnist", digits.parent, spec)
    with pytest.raises(NotFound, match="columns path and label"):
        open_dataset("listing", digits.parent, spec)


def test_unknown_kinds_and_data_are_rejected_with_the_known_kinds(tmp_path: Path, spec: InputSpec) -> None:
    kinds = "".join(f"(?=(.|\n)*{name}: )" for name in KINDS)
    with pytest.raises(NotFound, match=f"'mnists'{kinds}"):
        open_dataset("mnists", tmp_path, spec)
    with pytest.raises(NotFound, match=f"--dataset{kinds}"):
        open_dataset(None, tmp_path, spec)
    homes = "pass a path or one of mnist, fashion-mnist, cifar10, elpv"
    with pytest.raises(NotFound, match=f"does not exist; {homes}{kinds}"):
        open_dataset(None, tmp_path / "nowhere", spec)


def test_a_folder_of_idx_files_needs_a_kind(tmp_path: Path, spec: InputSpec) -> None:
    (tmp_path / "train-images-idx3-ubyte.gz").touch()
    with pytest.raises(NotFound, match=r"--dataset mnist or --dataset fashion-mnist$"):
        open_dataset(None, tmp_path, spec)


def test_data_for_another_task_is_rejected_before_it_is_read(
    tmp_path: Path, digits: Path, spec: InputSpec
) -> None:
    digits.write_bytes(b"nothing that could be read")
    with pytest.raises(InvalidInput, match="another task than a data set of the kind 'mnist'"):
        open_dataset(None, digits, spec, task=TASK_SEGMENT)
    for folder in ("images", "annotations/trimaps"):
        (tmp_path / "pets" / folder).mkdir(parents=True)
    with pytest.raises(InvalidInput, match="kind 'pets'"):
        open_dataset(None, tmp_path / "pets", spec, task=TASK_CLASSIFY)


def test_a_stratified_cut_takes_the_same_fraction_of_every_group() -> None:
    groups = ["a"] * 40 + ["b"] * 20 + ["c"] * 2
    kept, cut = stratified(groups, 0.25, seed=5)
    assert sorted(kept + cut) == list(range(62))
    assert [sum(groups[index] == name for index in cut) for name in "abc"] == [10, 5, 0]
    assert stratified(groups, 0.25, seed=5) == (kept, cut) != stratified(groups, 0.25, seed=6)
