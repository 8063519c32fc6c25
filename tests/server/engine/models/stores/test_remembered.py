"""What a repository held when it was last read."""

from __future__ import annotations

from pathlib import Path

import pytest

from spyglass_server.engine.models.stores.remembered import Remembered
from spyglass_server.engine.models.stores.store import MAX_ROUTING_BYTES, Stored

VERSIONS = [Stored("a", 1, "0" * 64), Stored("versions.json", 2, "f" * 64)]


def test_versions_and_routings_are_remembered(tmp_path: Path) -> None:
    Remembered(tmp_path, "x://a").keep_versions(VERSIONS)
    Remembered(tmp_path, "x://a").keep_routing("a", b"\xff\x00")
    again = Remembered(tmp_path, "x://a")
    assert again.versions() == VERSIONS
    assert (again.routing("a"), again.routing("b")) == (b"\xff\x00", None)
    again.keep_routing("a", None)
    again.keep_routing("b", None)
    again.keep_versions([])
    assert (again.versions(), again.routing("a")) == ([], None)


def test_what_did_not_change_is_not_written(tmp_path: Path) -> None:
    remembered = Remembered(tmp_path, "x://a")
    remembered.keep_versions(VERSIONS)
    before = (tmp_path / "versions.json").stat().st_ino
    remembered.keep_versions(VERSIONS)
    assert (tmp_path / "versions.json").stat().st_ino == before


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"[]", b'{"format": 1, "repository": "", "versions": [{"name": "../a", "version": 1}]}'],
)
def test_a_damaged_list_counts_as_none(tmp_path: Path, data: bytes, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "versions.json").write_bytes(data)
    assert Remembered(tmp_path, "x://a").versions() == []
    assert "is damaged, and is ignored" in caplog.text


def test_a_routing_above_the_limit_counts_as_none(tmp_path: Path) -> None:
    (tmp_path / "routing").mkdir()
    (tmp_path / "routing/a.json").write_bytes(b"x" * (MAX_ROUTING_BYTES + 1))
    assert Remembered(tmp_path, "x://a").routing("a") is None


def test_a_folder_that_cannot_be_written_is_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    remembered = Remembered(tmp_path / "file", "x://a")
    remembered.keep_versions(VERSIONS)
    remembered.keep_routing("a", b"")
    remembered.keep_routing("a", None)
    assert caplog.text.count("cannot be written") == 3
