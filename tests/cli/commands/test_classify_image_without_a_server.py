"""`classify-image` without a server: the bundled models in this process."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from spyglass_cli.flags.extras import install_hint

Classify = Callable[..., Any]


@pytest.fixture
def examples(repository_root: Path) -> str:
    return str(repository_root / "examples")


def test_the_bundled_model_classifies_and_the_command_reports_its_use(
    classify: Classify, examples: str
) -> None:
    done = classify(examples, "--format", "json", "--top-k", "3")
    cat, cup = json.loads(done.output)
    assert done.code == 0
    assert done.errors == "no server given: using the bundled models in this process\n"
    assert cat["model"]["name"] == "imagenet"
    assert any("cat" in entry["name"] for entry in cat["classes"])
    assert any(entry["name"] in ("espresso", "cup") for entry in cup["classes"])


def test_failures_and_results_keep_the_order_of_the_images(
    classify: Classify, examples: str, folder: Path
) -> None:
    cat = f"{examples}/chelsea.jpg"
    images = [cat, "images/broken.jpg", "missing.jpg", "*.gif"] * 6
    done = classify(*images, "--format", "jsonl", "--top-k", "1")
    results = [json.loads(line) for line in done.output.splitlines()]
    assert done.code == 1
    assert [result["path"] for result in results] == images
    assert [result.get("error", {}).get("reason") for result in results] == [
        None,
        "IMAGE_CORRUPT",
        "IMAGE_UNREADABLE",
        "IMAGE_NOT_FOUND",
    ] * 6


def test_a_bundled_model_is_chosen_by_name(classify: Classify, folder: Path) -> None:
    done = classify("images/red.png", "--model", "mnist-convnet", "--format", "json")
    assert json.loads(done.output)[0]["model"]["name"] == "mnist-convnet"


def test_a_model_that_is_not_bundled_fails_each_image(classify: Classify, folder: Path) -> None:
    done = classify("images/red.png", "--model", "nonesuch", "--format", "json")
    assert done.code == 1
    assert json.loads(done.output)[0]["error"]["code"] == "NOT_FOUND"


def test_a_call_past_its_timeout_is_a_failure(classify: Classify, examples: str) -> None:
    done = classify(f"{examples}/chelsea.jpg", "--timeout", "1e-6", "--format", "json")
    assert done.code == 1
    assert json.loads(done.output)[0]["error"]["code"] == "DEADLINE_EXCEEDED"


def test_without_onnx_runtime_the_error_names_the_extra_to_install(
    classify: Classify, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    done = classify("images/red.png")
    assert done.code == 2
    assert install_hint("server") in done.errors
    assert done.output == ""


def test_the_command_imports_only_the_packages_that_it_uses(examples: str) -> None:
    check = (
        "import sys; from spyglass_cli.commands.classify_image import main\n"
        f"code = main(['{examples}/chelsea.jpg', '--format', 'csv'])\n"
        "unused = {'grpc', 'rich', 'onnx', 'pydantic', 'matplotlib', 'keras'} & set(sys.modules)\n"
        "sys.exit(', '.join(unused) or code)"
    )
    finished = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr
