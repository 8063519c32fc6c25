"""The code in docs/client.md runs, in its order."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path
from typing import Any

import pytest

from authorities import Authority
from spyglass_server.server import Server
from spyglass_server.settings import ServerSettings

pytestmark = pytest.mark.slow


def test_the_python_of_the_page_runs(
    repository_root: Path, tmp_path: Path, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = (repository_root / "docs/client.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert len(blocks) == 10
    server = Server(ServerSettings(models=repository_root / "models", port=0, profile_seconds=0))
    server.start()
    # The page names images of the repository, and files that a reader has.
    (tmp_path / "examples").symlink_to(repository_root / "examples")
    (tmp_path / "ca.pem").write_bytes(authority.pem.read_bytes())
    (tmp_path / "team-a.token").write_text("spg_id_secret")
    monkeypatch.chdir(tmp_path)
    printed, names = io.StringIO(), dict[str, Any]()
    try:
        with contextlib.redirect_stdout(printed):
            for block in blocks:
                exec(block.replace("localhost:50051", f"localhost:{server.port}"), names)
            names["client"].close()
            names["counted"].close()
    finally:
        server.stop()
    first, *others = printed.getvalue().splitlines()
    assert first.startswith("tiger cat 0.38")
    assert others == ["tiger cat", "tiger cat", "IMAGE_UNREADABLE", "tiger cat", "tiger cat"]
