"""Settings of a server to check, with the tiny model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from spyglass_cli.diagnosing.finding import Check, Finding, Subject
from spyglass_server.settings import ServerSettings

Find = Callable[..., list[Finding]]


@pytest.fixture
def find(tiny_models: Path) -> Find:
    """Run a check: `find(check, quick=True, root=…, **settings)`. The models are the tiny ones by default."""

    def run(
        check: Check, *, quick: bool = True, target: str = "", root: str = "/", **given: Any
    ) -> list[Finding]:
        settings = ServerSettings(**{"models": [tiny_models], "port": 0, **given})
        return list(check(Subject(settings, quick=quick, target=target, seconds=2.0, root=Path(root))))

    return run
