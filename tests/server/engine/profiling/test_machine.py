"""The description of the processor."""

from __future__ import annotations

from pathlib import Path

from spyglass_server.engine.profiling.machine import processor

_CORE = """processor\t: {number}
vendor_id\t: AuthenticAMD
model name\t: AMD EPYC
cpu MHz\t\t: {mhz}
flags\t\t: fpu {flags}
"""


def _describe(root: Path, text: str) -> str:
    (root / "proc").mkdir(exist_ok=True)
    (root / "proc/cpuinfo").write_text(text)
    return processor(root)


def test_what_changes_from_moment_to_moment_does_not_count(tmp_path: Path) -> None:
    before = _describe(tmp_path, _CORE.format(number=0, mhz=2000.1, flags="avx512f"))
    after = _describe(tmp_path, _CORE.format(number=0, mhz=3100.7, flags="avx512f"))

    assert before == after
    assert before.startswith("AMD EPYC ")


def test_the_number_of_cores_does_not_count(tmp_path: Path) -> None:
    one = _CORE.format(number=0, mhz=1, flags="avx2")

    assert _describe(tmp_path, one) == _describe(tmp_path, f"{one}\n{one}")


def test_another_flag_is_another_processor(tmp_path: Path) -> None:
    before = _describe(tmp_path, _CORE.format(number=0, mhz=1, flags="avx512f"))
    after = _describe(tmp_path, _CORE.format(number=0, mhz=1, flags="avx512f avx512_bf16"))

    assert before != after


def test_an_arm_processor_is_described_by_its_part_and_features(tmp_path: Path) -> None:
    core = "processor\t: 0\nFeatures\t: fp asimd\nCPU implementer\t: 0x41\nCPU part\t: {part}\n"

    assert _describe(tmp_path, core.format(part="0xd0c")) != _describe(tmp_path, core.format(part="0xd40"))


def test_a_machine_without_the_file_has_a_description(tmp_path: Path) -> None:
    assert processor(tmp_path)
