"""Models in a folder that others change."""

from __future__ import annotations

import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

from spyglass_server.engine.models.stores.folder import FolderStore


def write(root: Path, name: str, version: int) -> None:
    folder = root / name / str(version)
    folder.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(b"a model")


def test_versions_and_models_that_go_while_the_folder_is_read_are_no_fault(tmp_path: Path) -> None:
    write(tmp_path, "colors", 1)
    ended = Event()

    def change() -> None:
        while not ended.is_set():
            write(tmp_path, "colors", 2)
            write(tmp_path, "shapes", 1)
            shutil.rmtree(tmp_path / "colors/2")
            shutil.rmtree(tmp_path / "shapes")

    store = FolderStore(tmp_path)
    with ThreadPoolExecutor(1) as thread:
        changing = thread.submit(change)
        until = time.monotonic() + 0.3
        seen = set()
        try:
            while time.monotonic() < until:
                seen.add(frozenset((stored.name, stored.version) for stored in store.versions()))
        finally:
            ended.set()
        changing.result()
    assert all(("colors", 1) in versions for versions in seen)


def test_files_beside_the_models_are_left_out(tmp_path: Path) -> None:
    write(tmp_path, "colors", 3)
    (tmp_path / "README.md").write_text("models")
    (tmp_path / "colors/routing.json").write_text("{}")
    (tmp_path / "colors/4").mkdir()
    (tmp_path / "colors/5").write_text("no folder")
    assert [(stored.name, stored.version) for stored in FolderStore(tmp_path).versions()] == [("colors", 3)]
