"""The files at a URL: bounded, and with errors that say what to do."""

from __future__ import annotations

import ssl
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import fsspec
import pytest
import trustme
from fsspec.config import conf
from fsspec.implementations.memory import MemoryFileSystem

from spyglass_contract.errors import ModelError
from spyglass_server.engine.models.stores import file_system
from spyglass_server.engine.models.stores.file_system import FileSystem
from spyglass_server.engine.models.stores.listing import Listing
from spyglass_server.engine.models.stores.options import Patience
from spyglass_server.engine.models.stores.url import StoreUrl
from web_folder import WebFolder, web_folder

PATIENCE = Patience(seconds=5, attempts=2, pause=0.001)
Memory = tuple[str, Callable[[str, bytes], object]]


def files_at(url: str, patience: Patience = PATIENCE) -> FileSystem:
    return FileSystem(StoreUrl.parse(url), patience)


@pytest.mark.parametrize(
    ("url", "problem", "reason"),
    [
        ("s3://bucket/models", "the package s3fs: pip install s3fs", "PACKAGE_MISSING"),
        ("gs://bucket/models", "the package gcsfs: pip install gcsfs", "PACKAGE_MISSING"),
        ("nothing://bucket", "no installed package opens nothing://", "STORE_UNKNOWN"),
        ("zip://models", "zip://models cannot be opened", "STORE_UNREADABLE"),
    ],
)
def test_a_file_system_that_cannot_be_opened_is_an_error(
    url: str, problem: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Though this machine may have them.
    for package in ("s3fs", "gcsfs"):
        monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ModelError, match=problem) as caught:
        files_at(url).entries()
    assert caught.value.reason == reason


def test_a_web_server_shows_folders_and_files(web: WebFolder) -> None:
    web.write("a b/1/model.onnx", b"model")
    web.write("a b/ü.bin", b"12")
    web.write("a b/what?.bin", b"123")
    (root,) = files_at(web.url).entries()
    assert (root.name, root.is_folder) == ("a b", True)
    entries = files_at(web.url).entries("a b")
    assert [entry.name for entry in entries] == ["1", "what?.bin", "ü.bin"]
    state = files_at(web.url).state("a b/ü.bin")
    assert state.size == 2
    assert state.state.startswith("ETag=")
    assert files_at(web.url).read("a b/what?.bin", 10) == b"123"


def test_the_state_of_a_file_is_the_same_alone_and_in_its_folder(memory: Memory, tmp_path: Path) -> None:
    url, write = memory
    write("a", b"12")
    (tmp_path / "a").write_bytes(b"12")
    for files in (files_at(url), files_at(f"file://{tmp_path}")):
        assert files.entries() == [files.state("a")]
        assert files.state("a").state


def test_links_count_as_what_they_lead_to(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real/file").write_bytes(b"12")
    (tmp_path / "folder").symlink_to("real")
    (tmp_path / "file").symlink_to("real/file")
    (tmp_path / "broken").symlink_to("nowhere")
    entries = files_at(f"file://{tmp_path}").entries()
    assert [(entry.name, entry.is_folder) for entry in entries] == [
        ("file", False),
        ("folder", True),
        ("real", True),
    ]


def test_a_file_is_read_up_to_a_limit(memory: Memory) -> None:
    url, write = memory
    write("a", b"0123456789")
    assert files_at(url).read("a", 10) == b"0123456789"
    assert files_at(url).read("a", 4) == b"01234"
    assert files_at(url).read("b", 4) is None


def test_a_folder_with_too_many_entries_is_refused(memory: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
    url, write = memory
    monkeypatch.setattr(file_system, "MAX_ENTRIES", 3)
    for number in range(4):
        write(f"{number}", b"")
    with pytest.raises(ModelError, match="more than 3 entries") as caught:
        files_at(url).entries()
    assert caught.value.reason == "STORE_TOO_LARGE"


def test_links_out_of_a_folder_are_left_out(web: WebFolder) -> None:
    links = [
        "../up/",
        "/",
        "/other/",
        "//elsewhere/x",
        "https://elsewhere/x/",
        "?C=N;O=D",
        "a/b",
        "a#b",
        "ok/",
    ]
    web.write("sub/index.html", "".join(f'<a href="{link}">x</a>' for link in links).encode())
    assert [entry.name for entry in files_at(web.url).entries("sub")] == ["ok"]


def test_a_web_server_without_folders_says_what_to_do(web: WebFolder) -> None:
    web.refuse("/", 404)
    with pytest.raises(ModelError, match="there is no http"):
        Listing(files_at(web.url)).versions()


def test_a_download_that_is_too_slow_is_given_up(memory: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
    url, write = memory
    write("a", b"0123456789")
    monkeypatch.setattr(file_system, "MIN_BYTES_PER_SECOND", 1e12)
    with pytest.raises(ModelError, match="bytes a second"):
        list(files_at(url, Patience(seconds=0.0001, attempts=1)).chunks("a"))


class _Hanging(MemoryFileSystem):
    """A file system without timeouts, which never answers."""

    protocol = "hanging"

    def ls(self, path: str, detail: bool = True, **options: object) -> object:
        import threading

        threading.Event().wait(5)
        raise AssertionError


def test_a_file_system_without_timeouts_is_given_up() -> None:
    fsspec.register_implementation("hanging", _Hanging, clobber=True)
    with pytest.raises(ModelError, match=r"no response within 0\.1 seconds") as caught:
        files_at("hanging://x", Patience(seconds=0.05, attempts=1)).entries()
    assert caught.value.reason == "STORE_UNREACHABLE"


class _ReadOnly(MemoryFileSystem):
    """A file system that others may not write."""

    protocol = "readonly"
    error: type[Exception] = NotImplementedError

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **options: object) -> None:
        raise self.error("no")


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (NotImplementedError, "STORE_READ_ONLY"),
        (PermissionError, "STORE_READ_ONLY"),
        (ConnectionError, "STORE_UNWRITABLE"),
    ],
)
def test_a_file_that_cannot_be_written_is_an_error(
    error: type[Exception], reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fsspec.register_implementation("readonly", _ReadOnly, clobber=True)
    monkeypatch.setattr(_ReadOnly, "error", error)
    with pytest.raises(ModelError, match=r"readonly://x/a/routing\.json") as caught:
        files_at("readonly://x").write("a/routing.json", b"{}")
    assert caught.value.reason == reason


@pytest.fixture
def secure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[WebFolder]:
    """A web server with TLS, whose authority the settings of fsspec name."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    monkeypatch.setitem(conf, "https", {"ssl": trusting})
    (tmp_path / "secure").mkdir()
    with web_folder(tmp_path / "secure", context) as folder:
        yield folder


def test_the_settings_of_fsspec_count(secure: WebFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    secure.write("a", b"12")
    assert files_at(secure.url).read("a", 10) == b"12"
    monkeypatch.delitem(conf, "https")
    with pytest.raises(ModelError, match=r"cannot be reached: .*[Cc]ertificate"):
        files_at(secure.url).read("a", 10)


def test_a_redirect_from_https_to_http_is_refused(secure: WebFolder, web: WebFolder) -> None:
    web.write("a", b"12")
    secure.write("b", b"34")
    secure.redirects["/a"] = f"{web.url}/a"
    secure.redirects["/c"] = f"{secure.url}/b"
    assert files_at(secure.url).read("c", 10) == b"34"
    with pytest.raises(ModelError, match="from https to http is not followed") as caught:
        files_at(secure.url).read("a", 10)
    assert caught.value.reason == "STORE_REFUSED"
    assert not web.gets
