"""The distribution `spyglass-client`: small, without models, and enough to classify with."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
import venv
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest

from spyglass.v1.classify_pb2 import ClassifyRequest, ClassifyResponse
from spyglass.v1.reply_pb2 import ClassScore
from spyglass.v1.vision_pb2_grpc import VisionServicer, add_VisionServicer_to_server

MEGABYTE = 2**20


def project(path: Path) -> dict[str, Any]:
    return dict(tomllib.loads(path.read_text())["project"])


def test_the_client_has_the_version_and_the_bounds_of_the_whole(repository_root: Path) -> None:
    whole = project(repository_root / "pyproject.toml")
    client = project(repository_root / "clients/python/pyproject.toml")
    assert (client["version"], client["requires-python"]) == (whole["version"], whole["requires-python"])
    # rich draws the tables of the commands.
    assert set(whole["dependencies"]) - set(client["dependencies"]) == {"rich>=14,<16"}
    assert set(client["dependencies"]) <= set(whole["dependencies"])


@pytest.fixture(scope="module")
def wheel(repository_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    build = [
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--wheel-dir",
        folder,
        repository_root / "clients/python",
    ]
    subprocess.run([sys.executable, "-m", *build], check=True, capture_output=True)
    (built,) = folder.iterdir()
    return built


@pytest.mark.slow
def test_the_wheel_is_small_and_holds_nothing_but_the_client(wheel: Path) -> None:
    assert wheel.stat().st_size < MEGABYTE
    names = zipfile.ZipFile(wheel).namelist()
    packages = {name.partition("/")[0] for name in names}
    assert packages == {"spyglass", "spyglass_client", "spyglass_contract", "spyglass_client-0.1.0.dist-info"}
    assert {"spyglass_client/py.typed", "spyglass/v1/vision_pb2_grpc.py"} <= set(names)
    assert not [name for name in names if "__pycache__" in name or name.endswith((".onnx", ".pyc"))]


class Cats(VisionServicer):
    """Every image is a cat."""

    def Classify(self, request: ClassifyRequest, context: grpc.ServicerContext) -> ClassifyResponse:
        classes = [ClassScore(index=1, name="cat", score=0.75)]
        return ClassifyResponse(id=request.id, index=request.index, classes=classes)

    def ClassifyStream(
        self, request_iterator: Iterator[ClassifyRequest], context: grpc.ServicerContext
    ) -> Iterator[ClassifyResponse]:
        for request in request_iterator:
            yield self.Classify(request, context)


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    serving = grpc.server(ThreadPoolExecutor(4))
    add_VisionServicer_to_server(Cats(), serving)
    port = serving.add_insecure_port("localhost:0")
    serving.start()
    yield f"http://localhost:{port}"
    serving.stop(None).wait()


PROGRAM = """
import sys
import google.protobuf, grpc, numpy, PIL
from PIL import Image
from spyglass_client import Client, mask_from_coco

print(google.protobuf.__version__, grpc.__version__, numpy.__version__, PIL.__version__)
with Client(sys.argv[1]) as client:
    image = Image.new("RGB", (5, 4), "orange")
    assert client.classify(image).best.name == "cat"
    assert [result.best.name for result in client.classify_many([image] * 5)] == ["cat"] * 5
assert mask_from_coco({"size": [2, 3], "counts": [1, 5]}).sum() == 5
for name in ("spyglass_server", "spyglass_cli", "spyglass_models", "onnxruntime"):
    try:
        __import__(name)
    except ImportError:
        continue
    raise SystemExit(f"{name} is installed")
"""


@pytest.fixture
def classify_with(wheel: Path, server: str, tmp_path: Path) -> Callable[..., list[str]]:
    """Install the wheel with these further requirements, classify; return the versions of its libraries."""

    def run(*requirements: str) -> list[str]:
        venv.create(tmp_path / "environment", with_pip=True)
        python = tmp_path / "environment/bin/python"
        install = [python, "-m", "pip", "install", "--quiet", wheel, *requirements]
        subprocess.run(install, check=True, capture_output=True)
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        program = [python, "-W", "error", "-c", PROGRAM, server]
        done = subprocess.run(
            program, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, done.stderr
        subprocess.run([python, "-m", "pip", "check"], check=True, capture_output=True)
        return done.stdout.split()

    return run


@pytest.mark.slow
def test_the_client_classifies_with_the_newest_libraries(classify_with: Callable[..., list[str]]) -> None:
    protobuf, *_ = classify_with()
    assert int(protobuf.partition(".")[0]) >= 7


@pytest.mark.slow
def test_the_client_classifies_with_the_oldest_libraries(
    classify_with: Callable[..., list[str]], repository_root: Path
) -> None:
    bounds = project(repository_root / "clients/python/pyproject.toml")["dependencies"]
    lowest = [bound.partition(",")[0].replace(">=", "==") for bound in bounds]
    assert classify_with(*lowest) == ["6.31.0", "1.73.0", "1.26.0", "11.0.0"]
