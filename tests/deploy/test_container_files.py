"""The Dockerfile and the compose file are valid, and their commands serve and classify.

The tests need no container engine. They run the commands of the build in a folder with the files that the
Dockerfile copies, and install into a temporary folder instead of /opt/spyglass.
"""

from __future__ import annotations

import io
import json
import os
import shlex
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from dockerfile_parse import DockerfileParser

OPT = "/opt/spyglass"


class Stage:
    """The instructions of one build stage, as (instruction, value)."""

    def __init__(self, instructions: list[tuple[str, str]]) -> None:
        self.instructions = instructions

    def values(self, instruction: str) -> list[str]:
        return [value for name, value in self.instructions if name == instruction]

    def words(self, instruction: str) -> list[str]:
        """Return the JSON array of an instruction that occurs once."""
        (value,) = self.values(instruction)
        return list(json.loads(value))


@pytest.fixture(scope="module")
def stages(repository_root: Path) -> list[Stage]:
    content = (repository_root / "deploy/Dockerfile").read_bytes()
    parser = DockerfileParser(fileobj=io.BytesIO(content))
    found: list[Stage] = []
    for entry in parser.structure:
        if entry["instruction"] == "FROM":
            found.append(Stage([]))
        if entry["instruction"] != "COMMENT":
            found[-1].instructions.append((entry["instruction"], entry["value"]))
    return found


@pytest.fixture(scope="module")
def compose(repository_root: Path) -> dict[str, Any]:
    return dict(yaml.safe_load((repository_root / "docker-compose.yml").read_text()))


def test_the_compose_file_satisfies_the_compose_schema(repository_root: Path) -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    done = subprocess.run(
        [*command, "docker-compose.yml"], cwd=repository_root, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_image_runs_as_an_unprivileged_user_with_a_health_check(stages: list[Stage]) -> None:
    final = stages[-1]
    assert final.values("USER") == ["10001"]
    assert 'CMD ["spyglass", "health"]' in final.values("HEALTHCHECK")[0]
    assert final.values("STOPSIGNAL") == ["SIGTERM"]
    assert final.words("ENTRYPOINT") == ["spyglass"] and final.words("CMD") == ["serve"]


def test_every_stage_starts_from_a_slim_image_with_a_supported_python(stages: list[Stage]) -> None:
    for stage in stages:
        image = stage.values("FROM")[0].split()[0]
        name, _, tag = image.partition(":")
        version, _, flavour = tag.partition("-")
        assert (name, flavour) == ("python", "slim")
        assert tuple(map(int, version.split("."))) >= (3, 11)


def test_the_compose_services_build_and_use_one_image(compose: dict[str, Any], repository_root: Path) -> None:
    server, client = compose["services"]["server"], compose["services"]["client"]
    assert (repository_root / server["build"]["context"] / server["build"]["dockerfile"]).is_file()
    assert client["image"] == server["image"]
    assert client["depends_on"] == {"server": {"condition": "service_healthy"}}


@pytest.mark.slow
def test_the_commands_of_image_and_compose_file_serve_and_classify_an_image(
    stages: list[Stage], compose: dict[str, Any], repository_root: Path, tmp_path: Path
) -> None:
    installed = _build(stages[0], repository_root, tmp_path)
    packages = _installed_packages(installed)
    assert "onnxruntime" in packages
    assert not packages & {"tensorflow", "tensorflow-cpu", "keras", "onnx", "tf2onnx", "matplotlib"}

    port = _free_port()
    environment = _environment(stages[-1], installed) | {"SPYGLASS_PORT": str(port)}
    server, client = compose["services"]["server"], compose["services"]["client"]
    serve = [*stages[-1].words("ENTRYPOINT"), *server["command"]]
    with _running(serve, environment) as process:
        health = _health_command(stages[-1])
        _run([*health, "--server", f"localhost:{port}", "--wait", "30"], environment)
        classify = [
            *client["entrypoint"],
            *(_on_this_machine(word, client, repository_root, port) for word in client["command"]),
        ]
        output = _run(classify, environment)
        process.terminate()
        assert process.wait(30) == 0
    assert "cat" in output


def _build(stage: Stage, repository: Path, folder: Path) -> Path:
    """Copy the files of the stage and run its commands. Return the folder in which it installs."""
    source, installed = folder / "source", folder / "installed"
    source.mkdir()
    for value in stage.values("COPY"):
        *names, target = value.split()
        for name in names:
            _copy(repository / name, source / target / (name if target == "./" else ""))
    environment = {
        key: value for key, value in os.environ.items() if not key.startswith(("VIRTUAL_ENV", "PYTHON"))
    }
    for command in stage.values("RUN"):
        words = [word.replace(OPT, str(installed)) for word in shlex.split(command)]
        if words[0] == "python":
            words[0] = sys.executable
        subprocess.run(words, cwd=source, env=environment, check=True, capture_output=True)
    return installed


def _copy(origin: Path, target: Path) -> None:
    if origin.is_dir():
        shutil.copytree(origin, target, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copy(origin, target)


def _environment(stage: Stage, installed: Path) -> dict[str, str]:
    """Return the environment variables of the image, with the path of the test's installation."""
    words = [word for value in stage.values("ENV") for word in shlex.split(value)]
    settings = dict(word.split("=", 1) for word in words)
    settings["PATH"] = settings["PATH"].replace(OPT, str(installed)).replace("$PATH", os.environ["PATH"])
    return settings | {"HOME": "/nonexistent"}


def _installed_packages(installed: Path) -> set[str]:
    listing = subprocess.run(
        [installed / "bin/pip", "list", "--format=json"], check=True, capture_output=True, text=True
    )
    return {entry["name"].lower() for entry in json.loads(listing.stdout)}


def _health_command(stage: Stage) -> list[str]:
    return list(json.loads(stage.values("HEALTHCHECK")[0].partition("CMD ")[2]))


def _on_this_machine(word: str, service: dict[str, Any], repository: Path, port: int) -> str:
    """Replace the volumes and the server's address in one word of a service's command."""
    for volume in service["volumes"]:
        host, container, _ = volume.split(":")
        word = word.replace(container, str(repository / host))
    return word.replace("server:50051", f"localhost:{port}")


@contextmanager
def _running(command: list[str], environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    executable = shutil.which(command[0], path=environment["PATH"])
    assert executable
    with subprocess.Popen([executable, *command[1:]], env=environment) as process:
        try:
            yield process
        finally:
            process.kill()


def _run(command: list[str], environment: dict[str, str]) -> str:
    executable = shutil.which(command[0], path=environment["PATH"])
    assert executable
    done = subprocess.run(
        [executable, *command[1:]], env=environment, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
