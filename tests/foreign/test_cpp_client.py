"""The documented client for C++: generated from the folder of .proto files alone, compiled and run."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

SECONDS = 540
INVALID_ARGUMENT = 3


@pytest.fixture(scope="module")
def client(
    tmp_path_factory: pytest.TempPathFactory, repository_root: Path, documented: Callable[[str, str], str]
) -> Path:
    """The compiled client."""
    tools = ("g++", "protoc", "grpc_cpp_plugin", "pkg-config")
    missing = [tool for tool in tools if not shutil.which(tool)]
    if missing or subprocess.run(["pkg-config", "--exists", "grpc++", "protobuf"], check=False).returncode:
        missing = missing or ["the grpc++ library"]
        pytest.skip(f"the documented client for C++ was not compiled: {', '.join(missing)} missing")
    folder = tmp_path_factory.mktemp("cpp")
    shutil.copytree(repository_root / "protos", folder / "protos")
    (folder / "generated").mkdir()
    (folder / "classify.cpp").write_text(documented("C++", "cpp"), encoding="utf-8")
    subprocess.run(["bash", "-euc", documented("C++", "sh")], cwd=folder, check=True, timeout=SECONDS)
    return folder / "classify"


def test_the_documented_client_classifies_and_reads_the_reason_of_an_error(
    client: Path, images: tuple[Path, Path]
) -> None:
    good, bad = images
    assert subprocess.run([client, good], capture_output=True, text=True, check=True).stdout == "red\n"
    failed = subprocess.run([client, bad], capture_output=True, text=True, check=False)
    assert (failed.returncode, failed.stdout) == (1, f"{INVALID_ARGUMENT} IMAGE_UNRECOGNISED\n")
