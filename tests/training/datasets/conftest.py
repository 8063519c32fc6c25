"""A network's input, and crops of two real photographs in folders."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from spyglass.v1.model_pb2 import COLOR_MODE_RGB, RESIZE_RULE_STRETCH, InputSpec


@pytest.fixture(scope="session")
def spec() -> InputSpec:
    """16 × 24 pixels, RGB."""
    return InputSpec(
        tensor="image", height=16, width=24, color_mode=COLOR_MODE_RGB, resize=RESIZE_RULE_STRETCH
    )


@pytest.fixture(scope="session")
def photographs(repository_root: Path) -> dict[str, Image.Image]:
    """A cat and a cup of coffee."""
    return {
        label: Image.open(repository_root / f"examples/{name}.jpg").convert("RGB")
        for label, name in (("cat", "chelsea"), ("cup", "coffee"))
    }


@pytest.fixture
def write_crops(photographs: dict[str, Image.Image]) -> Callable[..., list[Path]]:
    """Return a function that writes different crops: `write_crops("cat", folder, ["a.jpg", "b.png"])`."""

    def write(label: str, folder: Path, names: list[str]) -> list[Path]:
        folder.mkdir(parents=True, exist_ok=True)
        random = np.random.default_rng(len(names))
        for name in names:
            left, top = random.integers(0, 200, 2).tolist()
            photographs[label].crop((left, top, left + 90, top + 60)).save(folder / name)
        return [folder / name for name in names]

    return write
