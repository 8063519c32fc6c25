"""`make sbom`: the parts of a server in CycloneDX."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow


def test_the_list_of_parts_has_the_pinned_versions_and_no_path(repository_root: Path, tmp_path: Path) -> None:
    file = tmp_path / "sbom.json"
    command = ["make", "sbom", f"VENV={tmp_path}/venv", f"SBOM={file}", f"PYTHON={sys.executable}"]

    made = subprocess.run(command, cwd=repository_root, capture_output=True, text=True, timeout=600)

    assert made.returncode == 0, made.stderr
    text = file.read_text(encoding="utf-8")
    content = json.loads(text)
    parts = {part["name"].lower(): part for part in content["components"]}
    pins = dict(
        line.lower().split("==") for line in (repository_root / "constraints.txt").read_text().splitlines()
    )
    assert {"grpcio", "onnxruntime", "cryptography", "py-minisign"} <= parts.keys()
    assert {name: part["version"] for name, part in parts.items()} == {name: pins[name] for name in parts}
    assert all(part["purl"].startswith("pkg:pypi/") for part in parts.values())
    # Without times, serial numbers and folders it is the same wherever it is made.
    assert content["metadata"].keys() <= {"component", "properties", "tools"}
    assert str(repository_root) not in text
    assert str(tmp_path) not in text
