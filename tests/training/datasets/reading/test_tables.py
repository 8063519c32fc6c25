"""Images are decoded once, kept in the cache if there is one, and named if they cannot be read."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spyglass.v1.model_pb2 import InputSpec
from spyglass_contract.errors import ImageError, InvalidInput
from spyglass_training.datasets.example import Example, from_file
from spyglass_training.datasets.formats import class_folders
from spyglass_training.datasets.reading import table
from spyglass_training.datasets.reading.options import ReadingOptions
from spyglass_training.datasets.reading.table import read_table

WriteCrops = Callable[..., list[Path]]


@pytest.fixture
def folder(tmp_path: Path, write_crops: WriteCrops) -> Path:
    """Twenty images of two classes."""
    for label in ("cat", "cup"):
        write_crops(label, tmp_path / "data" / label, [f"{index}.jpg" for index in range(10)])
    return tmp_path / "data"


def test_the_error_names_all_unreadable_images_with_the_reason(folder: Path, spec: InputSpec) -> None:
    whole = (folder / "cat/3.jpg").read_bytes()
    (folder / "cat/3.jpg").write_bytes(whole[: len(whole) // 2])
    (folder / "cup/7.jpg").write_bytes(b"<html>not found</html>")
    with pytest.raises(ImageError, match=r"read 2 images:\n.*cat/3\.jpg: .*cut off\n.*cup/7\.jpg: .*HTML"):
        class_folders.load(folder, spec)


def test_only_the_first_of_many_unreadable_images_are_named(folder: Path, spec: InputSpec) -> None:
    for path in sorted(folder.rglob("*.jpg"))[:12]:
        path.write_bytes(b"")
    with pytest.raises(ImageError, match=r"read 12 images:\n(.*\n){10}.*and 2 more"):
        class_folders.load(folder, spec)


def test_unreadable_images_are_skipped_and_logged_on_request(
    folder: Path, spec: InputSpec, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    whole = class_folders.load(folder, spec)
    (folder / "cat/3.jpg").write_bytes(b"")
    for cache in (None, tmp_path / "cache", tmp_path / "cache"):
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            dataset = class_folders.load(folder, spec, ReadingOptions(skip_corrupt=True, cache=cache))
        assert len(dataset.train) + len(dataset.test) == 19
        assert [line.partition(":")[0] for line in dataset.skipped] == ["cat/3.jpg"]
        assert [record.getMessage() for record in caplog.records] == [f"skipped: {dataset.skipped[0]}"]
    kept = np.concatenate([dataset.train.pixels, dataset.test.pixels])
    before = np.concatenate([whole.train.pixels, whole.test.pixels])
    assert {each.tobytes() for each in kept} < {each.tobytes() for each in before}
    labels = {
        pixels.tobytes(): label
        for split in (whole.train, whole.test)
        for pixels, label in zip(split.pixels, split.labels, strict=True)
    }
    assert [labels[each.tobytes()] for each in dataset.train.pixels] == dataset.train.labels.tolist()


def test_with_a_cache_a_second_run_needs_no_decoding(folder: Path, spec: InputSpec, tmp_path: Path) -> None:
    options = ReadingOptions(cache=tmp_path / "cache")
    first = class_folders.load(folder, spec, options)
    for path in folder.rglob("*.jpg"):
        status = path.stat()
        # Other bytes of the same length and date: a second read would fail.
        path.write_bytes(b"x" * status.st_size)
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    second = class_folders.load(folder, spec, options)
    np.testing.assert_array_equal(second.train.pixels, first.train.pixels)
    np.testing.assert_array_equal(second.test.labels, first.test.labels)
    assert second.record == first.record


def test_a_changed_image_or_another_input_is_decoded_again(
    folder: Path, spec: InputSpec, tmp_path: Path, write_crops: WriteCrops
) -> None:
    options = ReadingOptions(cache=tmp_path / "cache")
    first = class_folders.load(folder, spec, options)
    larger = InputSpec()
    larger.CopyFrom(spec)
    larger.height = 32
    assert class_folders.load(folder, larger, options).train.pixels.shape[1:] == (32, 24, 3)
    write_crops("cup", folder / "cat", ["0.jpg", "1.jpg", "2.jpg"])
    second = class_folders.load(folder, spec, options)
    assert second.record.sha256 != first.record.sha256


def test_runs_at_the_same_time_share_a_cache(folder: Path, spec: InputSpec, tmp_path: Path) -> None:
    options = ReadingOptions(cache=tmp_path / "cache", memory_bytes=1)
    expected = class_folders.load(folder, spec)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: class_folders.load(folder, spec, options), range(8)))
    for dataset in found:
        np.testing.assert_array_equal(dataset.train.pixels, expected.train.pixels)
    assert len(list((tmp_path / "cache").iterdir())) == 1


def test_a_run_does_not_remove_the_table_of_another_one(
    folder: Path, spec: InputSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "cache"
    options = ReadingOptions(cache=cache, memory_bytes=1)
    look, numbers = table._kept, list[int]()

    def look_before_another_run(*arguments: Any) -> Any:
        found = look(*arguments)
        if not numbers:
            numbers.append(0)
            class_folders.load(folder, spec, options)
            (kept,) = cache.iterdir()
            numbers[0] = kept.stat().st_ino
        return found

    monkeypatch.setattr(table, "_kept", look_before_another_run)
    class_folders.load(folder, spec, options)
    (kept,) = cache.iterdir()
    assert [kept.stat().st_ino] == numbers


def test_an_interrupted_run_leaves_no_incomplete_table(folder: Path, spec: InputSpec, tmp_path: Path) -> None:
    def interrupt() -> bytes:
        raise KeyboardInterrupt

    whole = [from_file(path, folder) for path in sorted(folder.rglob("*.jpg"))]
    options = ReadingOptions(cache=tmp_path / "cache")
    with pytest.raises(KeyboardInterrupt):
        read_table([*whole, Example("the last", interrupt)], spec, options)
    assert not list((tmp_path / "cache").iterdir())
    assert len(read_table(whole, spec, options).pixels) == 20


def test_a_table_larger_than_the_memory_limit_stays_in_a_file(
    folder: Path, spec: InputSpec, tmp_path: Path
) -> None:
    whole = class_folders.load(folder, spec)
    options = ReadingOptions(cache=tmp_path / "cache", memory_bytes=1000)
    mapped = class_folders.load(folder, spec, options)
    assert isinstance(mapped.train.pixels, np.memmap)
    np.testing.assert_array_equal(mapped.train.pixels, whole.train.pixels)
    train, validation = mapped.train_and_validation(0.25, seed=0)
    expected_train, expected_validation = whole.train_and_validation(0.25, seed=0)
    assert isinstance(train.pixels, np.memmap)
    np.testing.assert_array_equal(train.pixels, expected_train.pixels)
    np.testing.assert_array_equal(validation.pixels, expected_validation.pixels)
    # The selected rows are in a file without a name.
    files = {path.name for path in (tmp_path / "cache").rglob("*") if path.is_file()}
    assert files == {"pixels.npy", "account.json"}


def test_a_table_larger_than_the_memory_limit_is_rejected_without_a_cache(
    folder: Path, spec: InputSpec
) -> None:
    with pytest.raises(InvalidInput, match=r"20 images of 24×16 take .* cache"):
        class_folders.load(folder, spec, ReadingOptions(memory_bytes=20 * 24 * 16 * 3 - 1))
    dataset = class_folders.load(folder, spec, ReadingOptions(memory_bytes=20 * 24 * 16 * 3))
    assert len(dataset.train) == 16


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("account.json", None),
        ("account.json", b"{}"),
        ("account.json", b"half of an acc"),
        ("pixels.npy", None),
        ("pixels.npy", b"\x93NUMPY"),
    ],
)
def test_damaged_files_in_the_cache_are_replaced(
    folder: Path, spec: InputSpec, tmp_path: Path, name: str, content: bytes | None
) -> None:
    options = ReadingOptions(cache=tmp_path / "cache")
    before = class_folders.load(folder, spec, options)
    (kept,) = (tmp_path / "cache").iterdir()
    (kept / name).unlink()
    if content is not None:
        (kept / name).write_bytes(content)
    again = class_folders.load(folder, spec, options)
    np.testing.assert_array_equal(again.train.pixels, before.train.pixels)
    assert list((tmp_path / "cache").iterdir()) == [kept]
    assert class_folders.load(folder, spec, options).record == before.record


def test_a_file_in_place_of_the_cache_is_rejected(folder: Path, spec: InputSpec, tmp_path: Path) -> None:
    (tmp_path / "cache").touch()
    with pytest.raises(InvalidInput, match="cache must be a folder, not a file"):
        class_folders.load(folder, spec, ReadingOptions(cache=tmp_path / "cache"))
