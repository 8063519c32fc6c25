"""A lifecycle whose files are texts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lifecycle_site import Network, Site
from spyglass_server.engine.models.model import Model, Resources


@pytest.fixture
def site(
    tmp_path: Path, make_card: Callable[..., Any], classify_colors: Callable[..., Any]
) -> Iterator[Site]:
    def open_model(path: Path) -> Model:
        card = make_card(path.parent.parent.name, int(path.parent.name))
        return Model(Network(card, classify_colors), "ab" * 32, Resources())

    made = Site(tmp_path / "models", open_model)
    yield made
    made.gate.set()
    if made.lifecycle:
        made.lifecycle.close()
