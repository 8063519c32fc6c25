"""The cache of models: its bounds, crashes in the middle, and damaged copies."""

from __future__ import annotations

import hashlib
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from spyglass_contract.errors import ModelError
from spyglass_server.engine.models.stores.locks import lock_file
from spyglass_server.engine.models.stores.model_cache import ModelCache, Slot
from spyglass_server.engine.models.stores.options import Patience, RemoteOptions
from spyglass_server.engine.models.stores.wanted import Wanted

PATIENCE = 20


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "cache"


OpenCache = Callable[..., ModelCache]


@pytest.fixture
def open_cache(folder: Path) -> OpenCache:
    def open_it(cache_bytes: int = 1_000_000, max_file_bytes: int = 1_000_000) -> ModelCache:
        return ModelCache(RemoteOptions(folder, cache_bytes, max_file_bytes, Patience(5, 2, 0.001)))

    return open_it


class Source:
    """A file that counts how often it is read."""

    def __init__(self, data: bytes, path: str = "model.onnx", *, indexed: bool = False) -> None:
        self.data, self.reads = data, 0
        sha256 = hashlib.sha256(data).hexdigest() if indexed else ""
        self.wanted = [Wanted(path, f"x://{path}", len(data) if indexed else None, sha256, self._chunks)]

    def _chunks(self) -> Generator[bytes]:
        self.reads += 1
        for start in range(0, len(self.data), 1000):
            yield self.data[start : start + 1000]

    def get(self, cache: ModelCache, key: str = "key", version: int = 1) -> Path:
        return cache.fetch(Slot(key, "a", version), lambda: self.wanted)


def test_versions_that_were_not_used_for_longest_make_room(open_cache: OpenCache, folder: Path) -> None:
    cache = open_cache(10_000)
    first, second, third = (Source(bytes([n]) * 3000) for n in range(3))
    paths = [source.get(cache, f"key{n}") for n, source in enumerate((first, second))]
    for path in paths:
        cache.release(path)
    os.utime(folder / "versions/key1/use.lock", (1, 1))
    third.get(cache, "key2")
    fourth = Source(b"4" * 3000)
    fourth.get(cache, "key3")
    assert sorted(os.listdir(folder / "versions")) == ["key0", "key2", "key3"]
    assert len(list((folder / "blobs").glob("*/*"))) == 3
    assert not os.listdir(folder / "downloads")


def test_what_is_in_use_stays(open_cache: OpenCache, folder: Path) -> None:
    cache = open_cache(10_000)
    held = [Source(bytes([n]) * 4000).get(cache, f"key{n}") for n in range(2)]
    with pytest.raises(ModelError, match=r"has room for \d+ beside what is in use") as caught:
        Source(b"3" * 4000, indexed=True).get(cache, "key3")
    assert caught.value.reason == "CACHE_FULL"
    assert all(path.exists() for path in held)
    cache.release(held[0])
    assert Source(b"3" * 4000, indexed=True).get(cache, "key3").exists()
    assert not held[0].exists()


def test_a_version_that_two_models_use_stays_until_both_have_ended(open_cache: OpenCache) -> None:
    cache = open_cache(5_000)
    source = Source(b"1" * 3000, indexed=True)
    path = source.get(cache)
    assert source.get(cache) == path
    cache.release(path)
    with pytest.raises(ModelError):
        Source(b"2" * 3000, indexed=True).get(cache, "other")
    cache.release(path)
    cache.release(path)
    assert Source(b"2" * 3000, indexed=True).get(cache, "other").exists()


@pytest.mark.parametrize("indexed", [True, False])
def test_a_version_that_is_larger_than_the_cache_is_refused(
    open_cache: OpenCache, folder: Path, indexed: bool
) -> None:
    with pytest.raises(ModelError, match="--model-cache-bytes") as caught:
        Source(b"1" * 5001, indexed=indexed).get(open_cache(5000))
    assert caught.value.reason in ("CACHE_FULL", "MODEL_TOO_LARGE")
    assert not list(folder.rglob("*.onnx"))


def test_a_file_without_a_size_is_refused_while_it_arrives(open_cache: OpenCache) -> None:
    source = Source(b"1" * 50_000)
    with pytest.raises(ModelError, match="more than 5000 bytes") as caught:
        source.get(open_cache(max_file_bytes=5000))
    assert caught.value.reason == "MODEL_TOO_LARGE"


@pytest.mark.parametrize("damage", ["bytes", "shorter", "gone", "content.json", "huge content.json"])
def test_a_damaged_copy_is_fetched_again(
    open_cache: OpenCache, folder: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    source = Source(b"model" * 1000)
    path = source.get(open_cache())
    path.chmod(0o644)
    content = folder / "versions/key/content.json"
    if damage == "bytes":
        path.write_bytes(b"MODEL" * 1000)
    elif damage == "shorter":
        path.write_bytes(b"model")
    elif damage == "gone":
        path.unlink()
    else:
        content.write_bytes(b"{" * (5 << 20 if "huge" in damage else 1))
    assert source.get(open_cache()) == path
    assert path.read_bytes() == b"model" * 1000
    assert source.reads == 2
    assert "is damaged" in caplog.text


def test_content_that_is_here_is_not_downloaded_again(open_cache: OpenCache) -> None:
    cache = open_cache()
    Source(b"model", indexed=True).get(cache)
    same = Source(b"model", indexed=True)
    path = same.get(cache, "other", 2)
    assert path.read_bytes() == b"model"
    assert same.reads == 0
    # The time of a file in use does not change, which would count as a change of the file.
    assert path.stat().st_nlink == 1


def test_damaged_content_is_downloaded_again(open_cache: OpenCache, folder: Path) -> None:
    cache = open_cache()
    Source(b"model", indexed=True).get(cache)
    (blob,) = (folder / "blobs").glob("*/*")
    blob.chmod(0o644)
    blob.write_bytes(b"MODEL")
    again = Source(b"model", indexed=True)
    assert again.get(cache, "other", 2).read_bytes() == b"model"
    assert again.reads == 1


def test_file_systems_without_hard_links_are_enough(
    open_cache: OpenCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    source = Source(b"model")
    assert source.get(open_cache()).read_bytes() == b"model"
    assert source.get(open_cache()).read_bytes() == b"model"
    assert source.reads == 1


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Let this process write no larger file: like a full disk, in the middle of a file."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_is_an_error_and_leaves_nothing(open_cache: OpenCache, folder: Path) -> None:
    source = Source(b"1" * 1_000_000)
    with largest_file(500_000), pytest.raises(ModelError, match="no space left") as caught:
        source.get(open_cache())
    assert caught.value.reason == "CACHE_FULL"
    assert sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) == 0
    assert source.get(open_cache()).exists()


def test_a_folder_that_cannot_be_used_is_an_error(open_cache: OpenCache, folder: Path) -> None:
    folder.write_text("a file")
    with pytest.raises(ModelError, match="set --model-cache to a folder") as caught:
        Source(b"model").get(open_cache())
    assert caught.value.reason == "CACHE_UNUSABLE"


def test_a_user_without_a_home_folder_is_told_what_to_set() -> None:
    with pytest.raises(ModelError, match="set --model-cache") as caught:
        ModelCache(RemoteOptions(None))
    assert caught.value.reason == "CACHE_UNUSABLE"


def test_leftovers_of_a_process_that_ended_go(open_cache: OpenCache, folder: Path) -> None:
    (folder / "downloads/old/a/1").mkdir(parents=True)
    (folder / "downloads/old/a/1/model.onnx").write_bytes(b"half")
    (folder / "versions/old").mkdir(parents=True)
    (folder / "versions/old/use.lock").touch()
    Source(b"model").get(open_cache())
    assert os.listdir(folder / "versions") == ["key"]
    assert not os.listdir(folder / "downloads")


def test_downloads_of_others_stay(open_cache: OpenCache, folder: Path) -> None:
    (folder / "downloads/other/a").mkdir(parents=True)
    locks = [lock_file(folder / "versions/other" / name) for name in ("use.lock", "fill.lock")]
    Source(b"model").get(open_cache())
    assert os.listdir(folder / "downloads") == ["other"]
    for lock in locks:
        assert lock is not None
        os.close(lock)


_PROCESS = """
import sys, time
from pathlib import Path
from spyglass_server.engine.models.stores.model_cache import ModelCache, Slot
from spyglass_server.engine.models.stores.options import RemoteOptions
from spyglass_server.engine.models.stores.wanted import Wanted

def chunks():
    yield b"1" * 1000
    if sys.argv[2] == "halfway":
        print("halfway", flush=True)
        time.sleep(60)
    yield b"1" * 1000

cache = ModelCache(RemoteOptions(Path(sys.argv[1]), 3000))
cache.fetch(Slot("key", "a", 1), lambda: [Wanted("model.onnx", "x://model.onnx", None, "", chunks)])
print("complete", flush=True)
time.sleep(60)
"""


@contextmanager
def process(folder: Path, until: str) -> Iterator[subprocess.Popen[str]]:
    """Run a process that fetches a version, and stops halfway or when it has it."""
    command = [sys.executable, "-c", _PROCESS, str(folder), until]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        try:
            assert running.stdout is not None
            assert running.stdout.readline().strip() == until
            yield running
        finally:
            running.kill()


@pytest.mark.slow
def test_a_process_that_is_killed_while_it_downloads_leaves_no_half_version(
    open_cache: OpenCache, folder: Path
) -> None:
    with process(folder, "halfway") as running:
        assert list((folder / "downloads").rglob("model.onnx"))
        running.send_signal(signal.SIGKILL)
        running.wait(PATIENCE)
    assert not open_cache().has(Slot("key", "a", 1))
    source = Source(b"1" * 2000)
    assert source.get(open_cache()).read_bytes() == b"1" * 2000
    assert not os.listdir(folder / "downloads")


@pytest.mark.slow
def test_what_another_process_uses_stays_until_that_process_ends(open_cache: OpenCache, folder: Path) -> None:
    other = Source(b"2" * 2000, indexed=True)
    with process(folder, "complete") as running:
        with pytest.raises(ModelError) as caught:
            other.get(open_cache(3000), "other")
        assert caught.value.reason == "CACHE_FULL"
        running.send_signal(signal.SIGKILL)
        running.wait(PATIENCE)
    assert other.get(open_cache(3000), "other").exists()
    assert os.listdir(folder / "versions") == ["other"]


@pytest.mark.slow
def test_a_process_waits_for_another_that_downloads_the_same(open_cache: OpenCache, folder: Path) -> None:
    source = Source(b"1" * 2000)
    with process(folder, "halfway") as running:
        waiting = subprocess.Popen(
            [sys.executable, "-c", _PROCESS, str(folder), "complete"], stdout=subprocess.PIPE, text=True
        )
        time.sleep(0.5)
        assert waiting.poll() is None
        assert not open_cache().has(Slot("key", "a", 1))
        running.send_signal(signal.SIGKILL)
        assert waiting.stdout is not None
        # It takes over.
        assert waiting.stdout.readline().strip() == "complete"
        waiting.kill()
        waiting.wait(PATIENCE)
        waiting.stdout.close()
    source.get(open_cache())
    assert source.reads == 0


@pytest.mark.parametrize("name", ["use.lock", "fill.lock", "content.json", "files"])
def test_a_model_may_have_any_name(open_cache: OpenCache, name: str) -> None:
    source = Source(b"model")
    path = open_cache().fetch(Slot("key", name, 1), lambda: source.wanted)
    assert path.parts[-3:] == (name, "1", "model.onnx")
    assert path.read_bytes() == b"model"


def test_a_version_counts_as_used_until_its_release(open_cache: OpenCache, folder: Path) -> None:
    cache = open_cache(10_000)
    long_used = Source(b"0" * 4000).get(cache, "key0")
    cache.release(Source(b"1" * 4000).get(cache, "key1"))
    os.utime(folder / "versions/key0/use.lock", (1, 1))
    os.utime(folder / "versions/key1/use.lock", (2, 2))
    cache.release(long_used)
    Source(b"2" * 4000, indexed=True).get(cache, "key2")
    assert sorted(os.listdir(folder / "versions")) == ["key0", "key2"]
