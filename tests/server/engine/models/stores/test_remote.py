"""Models at URLs, from the listing to the copy on this machine."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from spyglass_contract.errors import ModelError
from spyglass_server.engine.models.stores.index import index_of, write_index
from spyglass_server.engine.models.stores.options import Patience
from spyglass_server.engine.models.stores.remote import RemoteStore
from spyglass_server.engine.models.stores.store import MAX_ROUTING_BYTES, Stored
from web_folder import WebFolder

OpenStore = Callable[..., RemoteStore]
Memory = tuple[str, Callable[[str, bytes], object]]

MODEL = "/a/1/model.onnx"


def only(store: RemoteStore) -> Stored:
    (stored,) = store.versions()
    return stored


def write_index_of(web: WebFolder) -> None:
    web.write("models.json", write_index(index_of(web.root)))


@pytest.fixture(params=["memory", "file", "http", "http with an index"])
def place(
    request: pytest.FixtureRequest, memory: Memory, web: WebFolder, tmp_path: Path
) -> tuple[str, Callable[[str, bytes], object]]:
    """The URL of a repository of each kind, and what writes a file into it."""
    if request.param == "memory":
        return memory
    if request.param == "file":
        (tmp_path / "files").mkdir()
        return f"file://{tmp_path}/files", WebFolder(tmp_path / "files").write

    def write(path: str, data: bytes) -> None:
        web.write(path, data)
        if "index" in request.param:
            write_index_of(web)

    return web.url, write


def test_a_version_arrives_with_all_of_its_files(
    place: tuple[str, Callable[[str, bytes], object]], open_remote: OpenStore
) -> None:
    url, write = place
    write("a/1/model.onnx", b"first")
    write("a/2/model.onnx", b"second")
    write("a/2/model.int8.onnx", b"reduced")
    write("a/2/data/weights.bin", b"weights")
    write(".hidden/1/model.onnx", b"hidden")
    write("a/latest/model.onnx", b"no version")
    write("a/3/notes.txt", b"no model yet")
    store = open_remote(url)
    versions = store.versions()
    assert [(found.name, found.version) for found in versions] == [("a", 1), ("a", 2)]
    path = store.fetch(versions[1])
    assert path.parts[-3:] == ("a", "2", "model.onnx")
    assert path.read_bytes() == b"second"
    assert path.with_name("model.int8.onnx").read_bytes() == b"reduced"
    assert (path.parent / "data/weights.bin").read_bytes() == b"weights"
    assert store.fetch(versions[0]).read_bytes() == b"first"


def test_a_stamp_changes_with_the_files_and_only_with_them(
    place: tuple[str, Callable[[str, bytes], object]], open_remote: OpenStore
) -> None:
    url, write = place
    write("a/1/model.onnx", b"first")
    store = open_remote(url)
    before = only(store)
    assert only(store) == only(open_remote(url)) == before
    old = store.fetch(before)
    write("a/1/model.onnx", b"other bytes")
    after = only(store)
    assert after.stamp != before.stamp
    assert store.fetch(after).read_bytes() == b"other bytes"
    # A model that was loaded from the old files may read them again.
    assert old.read_bytes() == b"first"


def test_what_is_in_the_cache_is_not_downloaded_again(web: WebFolder, open_remote: OpenStore) -> None:
    web.write("a/1/model.onnx", b"model")
    first = open_remote(web.url)
    path = first.fetch(only(first))
    second = open_remote(web.url)
    assert second.fetch(only(second)) == path
    assert web.gets[MODEL] == 1


def test_two_servers_that_start_together_download_once(web: WebFolder, open_remote: OpenStore) -> None:
    web.write("a/1/model.onnx", b"model" * 1000)
    both = threading.Barrier(2)
    paths = []

    def start() -> None:
        store = open_remote(web.url)
        stored = only(store)
        both.wait(10)
        paths.append(store.fetch(stored))

    threads = [threading.Thread(target=start) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(paths) == 2
    assert paths[0] == paths[1]
    assert web.gets[MODEL] == 1


def test_a_folder_that_is_not_there_is_an_error(
    place: tuple[str, Callable[[str, bytes], object]], open_remote: OpenStore
) -> None:
    url, _ = place
    with pytest.raises(ModelError, match=r"there is no .*/nowhere") as caught:
        open_remote(f"{url}/nowhere").versions()
    assert caught.value.reason == "STORE_UNREADABLE"


@pytest.mark.parametrize(
    ("status", "reason"),
    [(401, "STORE_REFUSED"), (403, "STORE_REFUSED"), (418, "STORE_UNREADABLE"), (503, "STORE_UNREACHABLE")],
)
@pytest.mark.parametrize("path", ["/models.json", "/", "/a/"])
def test_a_status_of_the_web_server_is_an_error_with_its_reason(
    web: WebFolder, open_remote: OpenStore, path: str, status: int, reason: str
) -> None:
    web.write("a/1/model.onnx", b"model")
    web.refuse(path, status)
    with pytest.raises(ModelError, match=str(status)) as caught:
        open_remote(web.url).versions()
    assert caught.value.reason == reason
    assert web.url in caught.value.message


@pytest.mark.parametrize("status", [403, 500])
def test_a_file_that_is_refused_leaves_nothing_in_the_cache(
    web: WebFolder, open_remote: OpenStore, tmp_path: Path, status: int
) -> None:
    web.write("a/1/model.onnx", b"model")
    web.write("a/1/weights.bin", b"weights")
    store = open_remote(web.url)
    stored = only(store)
    web.refuse("/a/1/weights.bin", status)
    with pytest.raises(ModelError, match=str(status)):
        store.fetch(stored)
    assert not list((tmp_path / "cache").rglob("*.onnx"))
    web.refusals.clear()
    assert store.fetch(stored).read_bytes() == b"model"


def test_a_failure_that_passes_is_not_seen(web: WebFolder, open_remote: OpenStore) -> None:
    web.write("a/1/model.onnx", b"model")
    for path in ("/", "/a/", "/a/1/", MODEL):
        web.refuse(path, 500, times=1)
    store = open_remote(web.url)
    assert store.fetch(only(store)).read_bytes() == b"model"


@pytest.mark.parametrize("index", [True, False])
def test_a_body_that_ends_early_is_refused(web: WebFolder, open_remote: OpenStore, index: bool) -> None:
    web.write("a/1/model.onnx", b"model" * 1000)
    if index:
        write_index_of(web)
    store = open_remote(web.url)
    stored = only(store)
    web.cut[MODEL] = 100
    with pytest.raises(ModelError, match=r"Payload|of 5000 bytes arrived") as caught:
        store.fetch(stored)
    assert caught.value.reason in ("STORE_UNREACHABLE", "DOWNLOAD_INCOMPLETE")
    assert web.gets[MODEL] == 2
    web.cut.clear()
    assert store.fetch(stored).read_bytes() == b"model" * 1000


def test_a_server_that_sends_no_more_is_given_up(web: WebFolder, open_remote: OpenStore) -> None:
    web.write("a/1/model.onnx", b"model" * 1000)
    store = open_remote(web.url)
    stored = only(store)
    web.stalled[MODEL] = 100
    store = open_remote(web.url, patience=Patience(seconds=0.1, attempts=1))
    with pytest.raises(ModelError, match=r"cannot be reached: .*[Tt]imeout") as caught:
        store.fetch(stored)
    assert caught.value.reason == "STORE_UNREACHABLE"


def test_a_file_that_is_written_while_it_is_read_is_refused(web: WebFolder, open_remote: OpenStore) -> None:
    web.write("a/1/model.onnx", b"model" * 1000)
    store = open_remote(web.url)
    stored = only(store)
    web.halfway[MODEL] = lambda: web.write("a/1/model.onnx", b"other" * 1000)
    with pytest.raises(ModelError, match="was written or deleted while it was read") as caught:
        store.fetch(stored)
    assert caught.value.reason == "MODEL_CHANGED"
    web.halfway.clear()
    assert store.fetch(only(store)).read_bytes() == b"other" * 1000


def test_a_version_that_changed_since_it_was_listed_is_refused(
    memory: Memory, open_remote: OpenStore
) -> None:
    url, write = memory
    write("a/1/model.onnx", b"model")
    stored = only(open_remote(url))
    write("a/1/model.onnx", b"longer than before")
    with pytest.raises(ModelError) as caught:
        open_remote(url).fetch(stored)
    assert caught.value.reason == "MODEL_CHANGED"


def test_a_hash_that_is_not_that_of_the_index_is_refused(web: WebFolder, open_remote: OpenStore) -> None:
    web.write("a/1/model.onnx", b"model")
    write_index_of(web)
    web.write("a/1/model.onnx", b"liars")
    store = open_remote(web.url)
    with pytest.raises(ModelError, match="the index says 9372c470eeadd5ecd9c3c7") as caught:
        store.fetch(only(store))
    assert caught.value.reason == "DOWNLOAD_DAMAGED"


def test_an_index_that_is_gone_is_an_error(web: WebFolder, open_remote: OpenStore) -> None:
    web.write("a/1/model.onnx", b"model")
    store = open_remote(web.url)
    before = store.versions()
    write_index_of(web)
    indexed = store.versions()
    assert indexed != before
    (web.root / "models.json").unlink()
    with pytest.raises(ModelError, match="had the index") as caught:
        store.versions()
    assert caught.value.reason == "STORE_INDEX_INVALID"
    write_index_of(web)
    assert store.versions() == indexed


@pytest.mark.parametrize("index", [True, False])
def test_a_file_above_the_limit_is_refused(web: WebFolder, open_remote: OpenStore, index: bool) -> None:
    web.write("a/1/model.onnx", b"model" * 1000)
    if index:
        write_index_of(web)
    store = open_remote(web.url, max_file_bytes=4999)
    with pytest.raises(ModelError, match="5000 bytes, and at most 4999 are allowed") as caught:
        store.fetch(only(store))
    assert caught.value.reason == "MODEL_TOO_LARGE"
    assert MODEL not in web.gets


def test_redirects_are_followed(web: WebFolder, open_remote: OpenStore) -> None:
    web.write("elsewhere/model.onnx", b"model")
    web.write("a/1/model.onnx", b"model")
    web.redirects[MODEL] = "/elsewhere/model.onnx"
    store = open_remote(web.url)
    (stored,) = (found for found in store.versions() if found.name == "a")
    assert store.fetch(stored).read_bytes() == b"model"


def test_credentials_are_sent_and_not_shown(
    web: WebFolder, open_remote: OpenStore, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "spyglass_server")
    web.write("a/1/model.onnx", b"model")
    web.authorization = "Basic cGF0OnMzY3JldC13b3Jk"
    url = web.url.replace("http://", "http://pat:s3cret-word@")
    store = open_remote(url)
    assert store.fetch(only(store)).read_bytes() == b"model"
    web.authorization = "Basic b3RoZXI="
    with pytest.raises(ModelError) as caught:
        open_remote(url).versions()
    assert caught.value.reason == "STORE_REFUSED"
    shown = [caught.value.message, store.title, repr(store._url), caplog.text]
    shown += [path.read_text() for path in (tmp_path / "cache").rglob("*.json")]
    assert "s3cret" not in " ".join([*shown, *map(str, (tmp_path / "cache").rglob("*"))])


def test_a_server_starts_from_its_cache_if_the_repository_cannot_be_reached(
    web: WebFolder, open_remote: OpenStore, caplog: pytest.LogCaptureFixture
) -> None:
    web.write("a/1/model.onnx", b"model")
    web.write("a/2/model.onnx", b"never fetched")
    web.write("a/routing.json", b"{}")
    store = open_remote(web.url)
    first = store.versions()[0]
    store.fetch(first)
    assert store.read("a") == b"{}"
    web.refuse("/models.json", 503)
    web.refuse("/a/routing.json", 503)
    # One that has reached it before keeps what it has.
    with pytest.raises(ModelError):
        store.versions()
    with pytest.raises(ModelError):
        store.read("a")
    later = open_remote(web.url)
    assert later.versions() == [first]
    assert later.fetch(first).read_bytes() == b"model"
    assert later.read("a") == b"{}"
    later.versions()
    assert caplog.text.count("the server uses its copies (versions: 1)") == 1


def test_a_server_without_copies_does_not_start_if_the_repository_cannot_be_reached(
    web: WebFolder, open_remote: OpenStore
) -> None:
    web.write("a/1/model.onnx", b"model")
    open_remote(web.url).versions()
    web.refuse("/models.json", 503)
    with pytest.raises(ModelError, match="503"):
        open_remote(web.url).versions()


def test_copies_do_not_serve_when_the_repository_refuses_access(
    web: WebFolder, open_remote: OpenStore
) -> None:
    web.write("a/1/model.onnx", b"model")
    store = open_remote(web.url)
    store.fetch(only(store))
    web.refuse("/models.json", 403)
    with pytest.raises(ModelError) as caught:
        open_remote(web.url).versions()
    assert caught.value.reason == "STORE_REFUSED"


def test_a_routing_that_may_not_be_read_is_missing_if_there_is_an_index(
    web: WebFolder, open_remote: OpenStore
) -> None:
    web.write("a/1/model.onnx", b"model")
    web.refuse("/a/routing.json", 403)
    store = open_remote(web.url)
    store.versions()
    with pytest.raises(ModelError, match="may not be read"):
        store.read("a")
    write_index_of(web)
    store.versions()
    assert store.read("a") is None
    # One that was there before does not get lost.
    web.refusals.clear()
    web.write("a/routing.json", b"{}")
    assert store.read("a") == b"{}"
    web.refuse("/a/routing.json", 403)
    with pytest.raises(ModelError, match="may not be read"):
        store.read("a")


def test_nobody_listens(open_remote: OpenStore) -> None:
    with pytest.raises(ModelError, match="cannot be reached") as caught:
        open_remote("http://127.0.0.1:9/models").versions()
    assert caught.value.reason == "STORE_UNREACHABLE"


@pytest.mark.parametrize("scheme", ["memory", "file"])
def test_the_routing_is_written_and_read(
    memory: Memory, open_remote: OpenStore, tmp_path: Path, scheme: str
) -> None:
    url, write = memory
    if scheme == "file":
        url, write = f"file://{tmp_path}/files", WebFolder(tmp_path / "files").write
    write("a/1/model.onnx", b"model")
    store = open_remote(url)
    assert store.read("a") is None
    store.write("a", b"first")
    store.write("a", b"second")
    assert open_remote(url).read("a") == b"second"
    assert [(found.name, found.version) for found in store.versions()] == [("a", 1)]
    if scheme == "file":
        assert os.listdir(tmp_path / "files/a") in (["1", "routing.json"], ["routing.json", "1"])


def test_the_routing_on_a_web_server_is_read_only(web: WebFolder, open_remote: OpenStore) -> None:
    web.write("a/routing.json", b"x" * (MAX_ROUTING_BYTES + 100))
    store = open_remote(web.url)
    assert store.read("a") == b"x" * (MAX_ROUTING_BYTES + 1)
    with pytest.raises(ModelError, match="read only") as caught:
        store.write("a", b"{}")
    assert caught.value.reason == "STORE_READ_ONLY"


def test_who_changes_a_routing_waits_for_others(web: WebFolder, open_remote: OpenStore) -> None:
    seen: list[str] = []
    first, second = open_remote(web.url), open_remote(web.url)
    inside = threading.Event()

    def other() -> None:
        inside.wait(10)
        with second.changing("a"):
            seen.append("second")

    thread = threading.Thread(target=other)
    thread.start()
    with first.changing("a"):
        inside.set()
        thread.join(0.05)
        seen.append("first")
    thread.join(10)
    assert seen == ["first", "second"]


def test_a_name_cannot_lead_to_another_folder(memory: Memory, open_remote: OpenStore) -> None:
    store = open_remote(memory[0])
    for name in ("../a", "..", "a/b", "", ".a", "a\0b"):
        with pytest.raises(ModelError, match="no name of a model"):
            store.read(name)
        with pytest.raises(ModelError, match="no name of a model"):
            store.write(name, b"")
        with pytest.raises(ModelError, match="no name of a model"), store.changing(name):
            pass
