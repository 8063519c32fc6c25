"""The instruction sets in /proc/cpuinfo."""

from __future__ import annotations

from pathlib import Path

import pytest

from spyglass_server.engine.capacity.processor_flags import processor_flags


@pytest.mark.parametrize("key", ["flags\t\t", "Features\t"])
def test_the_flags_of_the_first_processor_are_read(tmp_path: Path, key: str) -> None:
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/cpuinfo").write_text(
        f"processor\t: 0\n{key}: fpu avx512f avx512_bf16\nbugs\t: spectre_v1\n\nprocessor\t: 1\n{key}: fpu\n"
    )

    assert processor_flags(tmp_path) == {"fpu", "avx512f", "avx512_bf16"}


def test_a_machine_without_the_file_has_no_flags(tmp_path: Path) -> None:
    assert processor_flags(tmp_path) == frozenset()
