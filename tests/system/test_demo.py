"""The script that `make demo` runs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image


@pytest.mark.slow
def test_the_demo_classifies_explains_and_segments_and_names_its_files(
    repository_root: Path, tmp_path: Path
) -> None:
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    finished = subprocess.run(
        [repository_root / "examples/demo", tmp_path / "drawn"],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert finished.returncode == 0, finished.stderr
    assert "tiger cat" in finished.stdout and "espresso" in finished.stdout
    for name in ("chelsea", "coffee"):
        (drawn,) = (tmp_path / "drawn").glob(f"{name}.*.jpg")
        assert str(drawn) in finished.stdout
        before, after = (_pixels(path) for path in (repository_root / f"examples/{name}.jpg", drawn))
        assert before.shape == after.shape
        assert (np.abs(after - before).max(axis=2) > 60).mean() > 0.05


def _pixels(path: Path) -> NDArray[np.int16]:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"), np.int16)
