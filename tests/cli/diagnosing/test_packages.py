"""Packages that are missing or outside of their range are found."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from spyglass_cli.diagnosing.finding import Finding
from spyglass_cli.diagnosing.packages import check_packages

Find = Callable[..., list[Finding]]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Put the metadata of a package before that of the installed ones."""
    monkeypatch.syspath_prepend(tmp_path)

    def write(name: str, version: str, *lines: str) -> None:
        folder = tmp_path / f"{name}-{version}.dist-info"
        folder.mkdir()
        head = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
        (folder / "METADATA").write_text("\n".join([*head, *lines, "", ""]))

    return write


def test_an_installation_without_problems_is_one_line(find: Find, install: Callable[..., None]) -> None:
    install("spyglass", "0.1.0", "Requires-Python: >=3.11", "Requires-Dist: numpy>=1")

    (found,) = find(check_packages)

    assert found.status == "ok"
    assert "1 packages are in their ranges" in found.message


@pytest.mark.parametrize(
    ("line", "status", "message"),
    [
        ("Requires-Python: >=9", "fail", "not >=9"),
        ("Requires-Dist: no-such-package>=1", "fail", "no-such-package is missing"),
        ("Requires-Dist: numpy>=99", "fail", "not numpy>=99"),
        ('Requires-Dist: numpy>=99; extra == "serving"', "fail", "not numpy>=99"),
        ('Requires-Dist: numpy>=99; extra == "export"', "warn", "not numpy>=99"),
        ('Requires-Dist: no-such-package; extra == "export"', "ok", ""),
        ('Requires-Dist: numpy>=99; python_version < "3"', "ok", ""),
    ],
)
def test_each_problem_is_found(
    find: Find, install: Callable[..., None], line: str, status: str, message: str
) -> None:
    install("spyglass", "0.1.0", "Provides-Extra: serving", "Provides-Extra: export", line)

    (found,) = find(check_packages)

    assert found.status == status
    assert message in found.message


def test_a_package_of_another_version_is_found(find: Find, install: Callable[..., None]) -> None:
    install("spyglass", "0.1.0", "Requires-Dist: pillow>=11,<14")
    install("pillow", "9.0")

    (found,) = find(check_packages)

    assert found.message == "pillow 9.0 is installed, not pillow<14,>=11"
    assert found.advice == "pip install 'pillow<14,>=11'"


def test_two_builds_of_onnx_runtime_are_found(find: Find, install: Callable[..., None]) -> None:
    install("spyglass", "0.1.0")
    install("onnxruntime", "1.30")
    install("onnxruntime_gpu", "1.30")

    (found,) = find(check_packages)

    assert found.status == "warn"
    assert "overwrite each other" in found.message
