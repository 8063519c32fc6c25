"""Profiles in files: they return for an equal key, and bad files count as empty."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from spyglass_server.engine.models.model_files import model_files
from spyglass_server.engine.profiling.profile import MeasuredWay, Profile, Way
from spyglass_server.engine.profiling.store import Key, ProfileStore

KEY = Key("ab" * 32, "Some Processor 0123", "onnxruntime 1.32.0", "CPUExecutionProvider", "fp32", 2, 1, 2)
PROFILE = Profile("2026-01-02T03:04:05+00:00", (MeasuredWay(Way(1, 1, 1), 0.25),))


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of models; the cache folder is beside it."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = tmp_path / "models"
    folder.mkdir()
    return folder


def test_a_kept_profile_is_found_by_another_store(models: Path) -> None:
    assert ProfileStore(models).keep(KEY, PROFILE)

    assert ProfileStore(models).find(KEY) == PROFILE
    assert [path.name for path in (models / ".spyglass").iterdir()] == ["profiles.json"]


@pytest.mark.parametrize(
    "changed",
    [
        {"sha256": "cd" * 32},
        {"processor": "Some Processor 4567"},
        {"runtime": "onnxruntime 1.33.0"},
        {"provider": "CUDAExecutionProvider"},
        {"precision": "bf16"},
        {"workers": 4},
        {"threads": 2},
        {"wide_threads": 4},
    ],
)
def test_a_profile_of_another_key_does_not_count(models: Path, changed: dict[str, Any]) -> None:
    store = ProfileStore(models)
    store.keep(KEY, PROFILE)

    assert store.find(replace(KEY, **changed)) is None


def test_a_new_profile_replaces_the_one_of_its_key_and_keeps_the_others(models: Path) -> None:
    store, other, newer = ProfileStore(models), replace(KEY, workers=8), replace(PROFILE, measured="later")
    store.keep(KEY, PROFILE)
    store.keep(other, PROFILE)
    store.keep(KEY, newer)

    assert (store.find(KEY), store.find(other)) == (newer, PROFILE)
    assert len(json.loads((models / ".spyglass/profiles.json").read_text())["profiles"]) == 2


def test_the_oldest_profiles_are_dropped(models: Path) -> None:
    store, path = ProfileStore(models), models / ".spyglass/profiles.json"
    store.keep(KEY, PROFILE)
    content = json.loads(path.read_text())
    (entry,) = content["profiles"]
    content["profiles"] = [{**entry, "key": {**entry["key"], "workers": n}} for n in range(1, 202)]
    path.write_text(json.dumps(content))

    store.keep(replace(KEY, workers=999), PROFILE)

    assert store.find(replace(KEY, workers=2)) is None
    assert store.find(replace(KEY, workers=3)) == PROFILE
    assert store.find(replace(KEY, workers=999)) == PROFILE


def test_a_folder_of_models_that_cannot_be_written_leaves_the_cache_folder(
    models: Path, tmp_path: Path
) -> None:
    (models / ".spyglass").write_text("a file where the folder would be")
    store = ProfileStore(models)

    assert store.keep(KEY, PROFILE)
    assert (tmp_path / "cache/spyglass/profiles.json").is_file()
    assert store.find(KEY) == PROFILE


def test_without_a_folder_of_models_the_cache_folder_is_used(models: Path, tmp_path: Path) -> None:
    assert ProfileStore(None).keep(KEY, PROFILE)

    assert (tmp_path / "cache/spyglass/profiles.json").is_file()
    assert not (models / ".spyglass").exists()


def test_without_any_folder_that_can_be_written_nothing_is_kept(models: Path, tmp_path: Path) -> None:
    (models / ".spyglass").write_text("")
    (tmp_path / "cache").write_text("")
    store = ProfileStore(models)

    assert not store.keep(KEY, PROFILE)
    assert store.find(KEY) is None


def test_a_relative_cache_folder_is_ignored(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "cache")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))

    assert ProfileStore(None).keep(KEY, PROFILE)
    assert (tmp_path / "home/.cache/spyglass/profiles.json").is_file()


def _with(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], object]:
    """Change the JSON of a valid file."""

    def edit(path: Path) -> None:
        content = json.loads(path.read_text())
        change(content)
        path.write_text(json.dumps(content))

    return edit


def _run(content: dict[str, Any]) -> dict[str, Any]:
    run: dict[str, Any] = content["profiles"][0]["profile"]["runs"][0]
    return run


def _as_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda path: path.write_bytes(b""), id="empty"),
        pytest.param(lambda path: path.write_bytes(path.read_bytes()[:-20]), id="cut off"),
        pytest.param(lambda path: path.write_bytes(os.urandom(1000)), id="noise"),
        pytest.param(lambda path: path.write_bytes(b"[" * 100_000), id="deep"),
        pytest.param(lambda path: path.write_bytes(path.read_bytes() + b" " * (1 << 20)), id="huge"),
        pytest.param(lambda path: path.write_text("[]"), id="another shape"),
        pytest.param(_with(lambda content: content.update(format=2)), id="a later format"),
        pytest.param(_with(lambda content: _run(content).update(seconds=float("nan"))), id="NaN"),
        pytest.param(_with(lambda content: _run(content).update(seconds=-1)), id="negative"),
        pytest.param(_with(lambda content: _run(content)["way"].update(batch=0)), id="no image"),
        pytest.param(_with(lambda content: _run(content)["way"].update(batch=1 << 40)), id="a huge batch"),
        pytest.param(_with(lambda content: content["profiles"][0]["profile"].update(runs=[])), id="no run"),
        pytest.param(_as_pipe, id="a pipe"),
    ],
)
def test_a_file_that_is_not_one_of_profiles_is_ignored_with_a_warning(
    models: Path, spoil: Callable[[Path], object], caplog: pytest.LogCaptureFixture
) -> None:
    store, path = ProfileStore(models), models / ".spyglass/profiles.json"
    store.keep(KEY, PROFILE)
    spoil(path)

    with caplog.at_level(logging.WARNING):
        assert store.find(KEY) is None
    assert f"{path} is ignored: " in caplog.text

    assert store.keep(KEY, PROFILE)
    assert store.find(KEY) == PROFILE


def test_kept_profiles_do_not_disturb_the_search_for_models(make_model: Callable[[], Path]) -> None:
    path = make_model()
    folder = path.parents[2]
    ProfileStore(folder).keep(KEY, PROFILE)
    # Not even a model in there counts.
    (folder / ".spyglass/1").mkdir()
    (folder / ".spyglass/1/model.onnx").write_bytes(b"")

    assert model_files(folder) == [path]
