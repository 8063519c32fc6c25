"""`spyglass train`: a training run."""

from __future__ import annotations

import argparse
import dataclasses
from typing import TYPE_CHECKING

from spyglass_cli.flags import training as train_flags
from spyglass_cli.flags.arguments import add_architecture
from spyglass_cli.flags.keras import require_keras
from spyglass_cli.flags.reading import reading_options
from spyglass_contract.errors import InvalidInput
from spyglass_training import architecture_names
from spyglass_training.datasets.registry import listed_kinds, open_dataset
from spyglass_training.run.options import TrainingOptions

if TYPE_CHECKING:
    from spyglass_contract.model.run_folder import RunFolder, RunRecord
    from spyglass_training.models import Architecture

_FINE_TUNING = ("fine_tune_epochs", "fine_tune_learning_rate", "fine_tune_schedule")
_CHOICES = ("augment", "dropout", "weights", "freeze", "batch_norm_momentum")


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command. Its parser suppresses defaults: the network and `TrainingOptions` have them."""
    parser = subparsers.add_parser(
        "train",
        help="train a network",
        description="Train a network and write a run folder: model, record, report, figures, golden images.",
        epilog=f"networks:\n{architecture_names.listed()}\n\nkinds of data:\n{listed_kinds()}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        argument_default=argparse.SUPPRESS,
    )
    add_architecture(parser, "mnist-convnet")
    train_flags.add_data_flags(parser)
    train_flags.add_network_flags(parser)
    train_flags.add_fitting_flags(parser)
    train_flags.add_run_flags(parser)
    parser.set_defaults(func=run)


def run(arguments: argparse.Namespace) -> int:
    """Train, print the metrics and the written files, and return 0. Raises SpyglassError."""
    require_keras(to_export=False)
    from spyglass_contract.model.run_folder import RunFolder
    from spyglass_training.run.phases import plan_phases
    from spyglass_training.run.progress import ProgressBar
    from spyglass_training.run.starting import check_network, check_start
    from spyglass_training.run.training import train

    architecture = _architecture(arguments)
    options = _options(arguments, architecture)
    folder = RunFolder(arguments.out)
    check_start(options, folder, resume=arguments.resume)
    check_network(architecture)
    # Reading the data can take minutes, so the cheap checks come first.
    reading = reading_options(arguments, options.seed)
    kind = getattr(arguments, "dataset", None)
    dataset = open_dataset(kind, arguments.data, architecture.input, reading, task=architecture.task)
    bar = ProgressBar(sum(phase.epochs for phase in plan_phases(architecture, options)))
    record = train(
        architecture,
        dataset,
        options,
        folder,
        resume=arguments.resume,
        watchers=[bar],
        cache=reading.cache,
    )
    _print_record(record, folder, len(dataset.test))
    return 0


def _architecture(arguments: argparse.Namespace) -> Architecture:
    """Return the network with the given options and input."""
    from spyglass_training.models import find_architecture

    given = vars(arguments)
    architecture = find_architecture(arguments.architecture)
    architecture = architecture.with_input(given.get("size"), given.get("color"))
    return architecture.for_run(**{name: given[name] for name in _CHOICES if name in given})


def _options(arguments: argparse.Namespace, architecture: Architecture) -> TrainingOptions:
    """Return the given options.

    Raises InvalidInput for options of fine-tuning if the network has no layers to fine-tune.
    """
    given = vars(arguments)
    unused = [f"--{name.replace('_', '-')}" for name in _FINE_TUNING if name in given]
    if unused and not architecture.fine_tuned_layers:
        raise InvalidInput(f"{architecture.name} has no layers to fine-tune: leave out {', '.join(unused)}")
    names = [field.name for field in dataclasses.fields(TrainingOptions)]
    return TrainingOptions(**{name: given[name] for name in names if name in given})


def _print_record(record: RunRecord, folder: RunFolder, images: int) -> None:
    print(f"{record.architecture}: {record.parameters:,} parameters, {record.seconds:.0f} s")
    print(f"accuracy on {images:,} test images: {record.metrics['test_accuracy']:.2%}")
    if "test_mean_iou" in record.metrics:
        print(f"mean intersection over union: {record.metrics['test_mean_iou']:.4f}")
    for file in (folder.model, folder.record, folder.report, folder.curves, folder.confusion, folder.worst):
        print(f"wrote {file}")
    print(f"export it with: spyglass export {folder.path} --out models/NAME/1")
