"""The versions of a repository without an index."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from spyglass_contract.errors import ModelError
from spyglass_server.engine.models.stores import listing
from spyglass_server.engine.models.stores.file_system import FileSystem
from spyglass_server.engine.models.stores.listing import Listing
from spyglass_server.engine.models.stores.url import StoreUrl

Memory = tuple[str, Callable[[str, bytes], object]]


def listing_of(memory: Memory) -> Listing:
    return Listing(FileSystem(StoreUrl.parse(memory[0])))


def test_what_is_no_model_is_left_out_and_said_once(memory: Memory, caplog: pytest.LogCaptureFixture) -> None:
    _, write = memory
    for path in ("a/1", "a/01", "a/latest", "a b/1", ".git/1", "a/.tmp", "c/2/x/y/z"):
        write(f"{path}/model.onnx", b"")
    write("model.onnx", b"")
    write("a/model.onnx", b"")
    write("a/1/a\\b", b"")
    write("a/1/.hidden", b"")
    write("a/1/1/2/3/4/5", b"")
    listed = listing_of(memory)
    for _ in range(2):
        (found,) = listed.versions()
    assert (found.folder, [file.path for file in found.files]) == ("a/1", ["model.onnx"])
    for path in ("a/01", "a/latest", "a b", "a/1/a\\b"):
        assert caplog.text.count(f"/{path} is ignored") == 1


@pytest.mark.parametrize(("limit", "problem"), [("MAX_VERSIONS", "versions"), ("MAX_FILES", "files in a/1")])
def test_a_repository_with_too_much_is_refused(
    memory: Memory, monkeypatch: pytest.MonkeyPatch, limit: str, problem: str
) -> None:
    monkeypatch.setattr(listing, limit, 2)
    _, write = memory
    for number in range(1, 4):
        write(f"a/{number}/model.onnx", b"")
        write(f"a/1/sub{number}/file", b"")
    with pytest.raises(ModelError, match=f"more than 2 {problem}") as caught:
        listing_of(memory).versions()
    assert caught.value.reason == "STORE_TOO_LARGE"
