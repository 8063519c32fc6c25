"""`pip install .` without extras installs the client, and only what the client needs."""

from __future__ import annotations

import json
import subprocess
import sys
import venv
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

HEAVY = {"onnxruntime", "onnx", "tensorflow", "tensorflow-cpu", "keras", "matplotlib", "pydantic"}


@pytest.fixture(scope="module")
def bare(repository_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of programs of an environment in which spyglass is installed without extras."""
    folder = tmp_path_factory.mktemp("bare")
    wheels = folder / "wheels"
    build = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--wheel-dir",
        wheels,
        repository_root,
    ]
    subprocess.run(build, check=True, capture_output=True)
    venv.create(folder / "environment", with_pip=True)
    programs = folder / "environment/bin"
    constraints = repository_root / "constraints.txt"
    (wheel,) = wheels.iterdir()
    install = [programs / "pip", "install", "--quiet", "--constraint", constraints, wheel]
    subprocess.run(install, check=True, capture_output=True)
    return programs


def test_an_install_without_extras_brings_only_the_client(bare: Path) -> None:
    listing = subprocess.run([bare / "pip", "list", "--format=json"], check=True, capture_output=True)
    packages = {entry["name"].lower() for entry in json.loads(listing.stdout)}
    assert "grpcio" in packages
    assert not packages & HEAVY
    subprocess.run([bare / "python", "-c", "from spyglass_client import AsyncClient, Client"], check=True)


def test_the_models_are_inside_the_installed_package(bare: Path) -> None:
    where = subprocess.run(
        [
            bare / "python",
            "-c",
            "import spyglass_server.engine.models.bundled as b; print(b.bundled_models())",
        ],
        check=True,
        capture_output=True,
        text=True,
        cwd=bare,
    )
    found = {path.parent.parent.name for path in Path(where.stdout.strip()).glob("*/*/model.onnx")}
    assert {"imagenet", "mnist-convnet"} <= found
    assert str(bare.parent) in where.stdout


@pytest.mark.parametrize(
    ("command", "extra"),
    [
        (["classify-image", "examples/chelsea.jpg"], "[server]"),
        (["spyglass", "serve"], "[server]"),
        (["spyglass", "explain", "--check", "examples", "--out", "report"], "[checking]"),
        (["spyglass", "train", "mnist-convnet", "--data", "mnist.npz", "--out", "run"], "[training]"),
    ],
)
def test_a_command_that_needs_an_extra_names_the_extra(
    bare: Path, repository_root: Path, command: list[str], extra: str
) -> None:
    done = subprocess.run(
        [bare / command[0], *command[1:]], cwd=repository_root, capture_output=True, text=True
    )
    assert done.returncode == 2
    # The hint names the wheel that was installed, and never a package of that name on an index.
    assert f".whl{extra}" in done.stderr and "Traceback" not in done.stderr
