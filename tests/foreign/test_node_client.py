"""The documented client for Node, and what other clients with gRPC's own limits can receive."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

SECONDS = 120

STREAM = """
const grpc = require("@grpc/grpc-js"), loader = require("@grpc/proto-loader"), fs = require("fs");
const types = loader.loadSync("spyglass/v1/vision.proto", { includeDirs: ["protos"], longs: String });
const { Vision } = grpc.loadPackageDefinition(types).spyglass.v1;
const client = new Vision("ADDRESS", grpc.credentials.createInsecure());
const image = { encoded: fs.readFileSync(process.argv[2]) };
client.Heatmap({ image }, (error, response) => {
  if (error) throw error;
  console.log(response.heatmap.data.length, response.frame.imageWidth);
  const stream = client.ClassifyStream();
  const found = {};
  stream.on("data", (each) => { found[each.index] = each.error ? each.error.code : each.classes[0].name; });
  stream.on("end", () => { console.log(JSON.stringify(found)); client.close(); });
  stream.write({ index: 7, image, timeout: { seconds: 60 } });
  stream.write({ index: 8, image, timeout: { seconds: -1 } });
  stream.write({ index: "18446744073709551615", image });
  stream.end();
});
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, repository_root: Path) -> Path:
    """A Node project with gRPC, and the folder of .proto files as it is."""
    if not shutil.which("node") or not shutil.which("npm"):
        pytest.skip("the documented client for Node was not run: node and npm are missing")
    folder = tmp_path_factory.mktemp("node")
    shutil.copytree(repository_root / "protos", folder / "protos")
    packages = ["@grpc/grpc-js@1", "@grpc/proto-loader@0.8"]
    install = ["npm", "install", "--prefix", folder, "--no-audit", "--no-fund", "--silent", *packages]
    if subprocess.run(install, cwd=folder, check=False, timeout=SECONDS).returncode:
        pytest.skip("the documented client for Node was not run: npm cannot install its packages")
    return folder


def run(project: Path, code: str, image: Path) -> str:
    (project / "client.js").write_text(code, encoding="utf-8")
    command = ["node", "client.js", image]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False, timeout=SECONDS)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_the_documented_client_classifies_and_reads_the_reason_of_an_error(
    project: Path, documented: Callable[[str, str], str], images: tuple[Path, Path]
) -> None:
    good, bad = images
    code = documented("Node", "js")
    assert run(project, code, good) == "red\n"
    assert run(project, code, bad) == "INVALID_ARGUMENT IMAGE_UNRECOGNISED\n"


def test_default_requests_and_streams_work_with_the_limits_of_grpc(
    project: Path, explaining_server: str, color_image: Callable[..., bytes], tmp_path: Path
) -> None:
    large = tmp_path / "large.png"
    large.write_bytes(color_image("blue", (4000, 3000)))
    printed = run(project, STREAM.replace("ADDRESS", explaining_server), large).splitlines()
    assert printed == ["256 4000", '{"7":"blue","8":3,"18446744073709551615":"blue"}']
