"""Atomic file writing."""

from __future__ import annotations

from pathlib import Path

import pytest

from spyglass_contract.files import whole_file, write_whole


def test_the_file_appears_when_the_block_ends(tmp_path: Path) -> None:
    path = tmp_path / "model.keras"

    with whole_file(path) as temporary:
        temporary.write_bytes(b"weights")
        assert not path.exists()

    assert path.read_bytes() == b"weights"
    assert list(tmp_path.iterdir()) == [path]


def test_the_temporary_file_is_hidden_beside_the_file_and_keeps_its_suffix(tmp_path: Path) -> None:
    with whole_file(tmp_path / "model.keras") as temporary:
        temporary.touch()

    assert temporary.parent == tmp_path
    assert temporary.name.startswith(".")
    assert temporary.suffix == ".keras"


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_block_that_fails_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, error: type[BaseException]
) -> None:
    path = tmp_path / "run.json"
    path.write_text("old")

    with pytest.raises(error), whole_file(path) as temporary:
        temporary.write_text("ne")
        raise error

    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_block_that_writes_nothing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), whole_file(tmp_path / "run.json"):
        pass


@pytest.mark.parametrize("data", [b"\0\xff", "“0”\r\n", ""])
def test_bytes_and_text_are_written_as_they_are(tmp_path: Path, data: bytes | str) -> None:
    path = tmp_path / "file"
    path.write_text("older and longer")

    write_whole(path, data)

    assert path.read_bytes() == (data.encode() if isinstance(data, str) else data)
