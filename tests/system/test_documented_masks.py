"""The Python of docs/segmentation.md reads the mask that the command writes."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spyglass_cli.main import main
from spyglass_server import local_client


@pytest.fixture(scope="module")
def page(repository_root: Path) -> str:
    return (repository_root / "docs/segmentation.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_foreground_of_the_page_is_that_of_the_client(
    page: str,
    repository_root: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (code,) = (block for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "mask ==" in block)
    monkeypatch.delenv("SPYGLASS_SERVER", raising=False)
    monkeypatch.chdir(tmp_path)
    shutil.copyfile(repository_root / "examples/chelsea.jpg", "photo.jpg")
    assert main(["segment", "photo.jpg", "--kind", "mask", "--out", "masks"]) == 0
    found: dict[str, Any] = {}
    exec(code, found)
    with local_client() as client:
        expected = client.segment("photo.jpg").of("foreground")
    np.testing.assert_array_equal(found["foreground"], expected)
    assert 0.05 < expected.mean() < 0.95
