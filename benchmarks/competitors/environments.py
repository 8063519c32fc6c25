"""The environments of the other servers: where they are, and what is installed there."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# One environment each, which git ignores. The variable moves them to another folder.
_FOLDER = Path(os.environ.get("BENCHMARK_ENVIRONMENTS", Path(__file__).parent))

# The version that `install.py` installs.
VERSIONS = {"litserve": "0.2.19", "mlserver": "1.7.1", "mosec": "0.9.8"}
# What a server needs in an older version than pip takes: MLServer's workers do not start with uvloop 0.22.
HELD_BACK = {"mlserver": ("uvloop==0.21.0",)}
# These have the version of the environment that runs the benchmark, so that all servers do the same work.
SHARED = ("numpy", "onnxruntime", "pillow")


def python_of(name: str) -> Path:
    """Return the interpreter of a server's environment."""
    return _FOLDER / f".venv-{name}" / "bin" / "python"


def installed_versions(name: str) -> dict[str, str]:
    """Return the versions of a server and of what it shares with Spyglass; {} if it is not installed."""
    python = python_of(name)
    if not python.exists():
        return {}
    names = (name, *SHARED)
    code = "from importlib.metadata import version\nfor name in " + repr(names) + ": print(version(name))"
    found = subprocess.run([python, "-c", code], capture_output=True, text=True)
    return dict(zip(names, found.stdout.split(), strict=True)) if found.returncode == 0 else {}


def environment_variables() -> dict[str, str]:
    """Return the environment of a server: with this repository's packages, without their dependencies."""
    places = (ROOT / "protos", ROOT / "contract", Path(__file__).parent)
    return {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, places))}
