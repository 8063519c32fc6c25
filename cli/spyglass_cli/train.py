"""`spyglass train`: a training run."""

from __future__ import annotations

import argparse
import dataclasses
from typing import TYPE_CHECKING, Any

from spyglass_cli import train_flags
from spyglass_cli.keras_extra import require_keras
from spyglass_training.options import TrainingOptions

if TYPE_CHECKING:
    from spyglass_contract.run_folder import RunFolder, RunRecord
    from spyglass_training.models import Architecture

_CHOICES = ("augment", "dropout", "weights", "freeze", "batch_norm_momentum")


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command. What is not given is left to the network's and to `TrainingOptions`' defaults."""
    parser = subparsers.add_parser(
        "train",
        help="train a network",
        description="Trains a network and leaves a folder: model, record, report, figures, golden pictures.",
        argument_default=argparse.SUPPRESS,
    )
    parser.add_argument("architecture", metavar="MODEL", help="the network, such as mnist-convnet")
    train_flags.add_data_flags(parser)
    train_flags.add_network_flags(parser)
    train_flags.add_fitting_flags(parser)
    train_flags.add_run_flags(parser)
    parser.set_defaults(func=run)


def run(arguments: argparse.Namespace) -> int:
    """Trains and prints what came of it. The exit code, 0; raises SpyglassError."""
    require_keras()
    from spyglass_contract.run_folder import RunFolder
    from spyglass_training.datasets.reading import ReadingOptions
    from spyglass_training.datasets.registry import open_dataset
    from spyglass_training.progress import ProgressBar
    from spyglass_training.training import train

    given = vars(arguments)
    architecture = _architecture(arguments)
    options = TrainingOptions(**_among(given, [field.name for field in dataclasses.fields(TrainingOptions)]))
    reading = ReadingOptions(**_among(given, ["skip_corrupt", "cache", "seed"]))
    dataset = open_dataset(given.get("dataset"), arguments.data, architecture.input, reading)
    folder = RunFolder(arguments.out)
    record = train(architecture, dataset, options, folder, resume=arguments.resume, watchers=[ProgressBar()])
    _tell(record, folder, len(dataset.test))
    return 0


def _among(given: dict[str, Any], names: list[str]) -> dict[str, Any]:
    return {name: given[name] for name in names if name in given}


def _architecture(arguments: argparse.Namespace) -> Architecture:
    """With the choices and the input that were asked for."""
    from spyglass_training.models import find_architecture

    given = vars(arguments)
    architecture = find_architecture(arguments.architecture)
    architecture = architecture.with_input(given.get("size"), given.get("color"))
    return architecture.with_choices(**{name: given[name] for name in _CHOICES if name in given})


def _tell(record: RunRecord, folder: RunFolder, pictures: int) -> None:
    print(f"{record.architecture}: {record.parameters:,} parameters, {record.seconds:.0f} s")
    print(f"accuracy on {pictures:,} test pictures: {record.metrics['test_accuracy']:.2%}")
    if "test_mean_iou" in record.metrics:
        print(f"mean intersection over union: {record.metrics['test_mean_iou']:.4f}")
    for file in (folder.model, folder.record, folder.report, folder.curves, folder.confusion, folder.worst):
        print(f"wrote {file}")
    print(f"export it with: spyglass export {folder.path} --out models/NAME/1")
