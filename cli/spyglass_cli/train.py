"""`spyglass train`: a training run."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

from spyglass_cli.keras_extra import require_keras


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command. What is not given is left to the defaults of `TrainingOptions`."""
    parser = subparsers.add_parser(
        "train",
        help="train a network",
        description="Trains a network and leaves a folder: model, record, curves, golden pictures.",
        argument_default=argparse.SUPPRESS,
    )
    parser.add_argument("architecture", metavar="MODEL", help="the network, such as mnist-convnet")
    parser.add_argument("--data", type=Path, required=True, metavar="FILE", help="MNIST as mnist.npz")
    parser.add_argument("--out", type=Path, required=True, metavar="RUN", help="the folder to make")
    parser.add_argument("--epochs", type=_positive, metavar="N", help="how often to see every picture")
    parser.add_argument("--batch-size", type=_positive, metavar="N", help="pictures in a step")
    parser.add_argument("--optimizer", choices=("adam", "rmsprop", "sgd"))
    parser.add_argument("--learning-rate", type=float, metavar="X", help="at the start; it falls to zero")
    parser.add_argument("--seed", type=int, metavar="N", help="the same seed gives the same weights on a CPU")
    parser.set_defaults(func=run)


def run(arguments: argparse.Namespace) -> int:
    """Trains and prints what came of it. The exit code, 0; raises SpyglassError."""
    require_keras()
    from spyglass_contract.run_folder import RunFolder
    from spyglass_training.datasets import mnist
    from spyglass_training.models import find_architecture
    from spyglass_training.training import TrainingOptions, train

    names = {field.name for field in dataclasses.fields(TrainingOptions)}
    options = TrainingOptions(**{name: value for name, value in vars(arguments).items() if name in names})
    architecture = find_architecture(arguments.architecture)
    dataset = mnist.load(arguments.data, architecture.input)
    record = train(architecture, dataset, options, RunFolder(arguments.out))
    print(f"{record.architecture}: {record.parameters:,} parameters, {record.seconds:.0f} s")
    print(f"accuracy on {len(dataset.test):,} test pictures: {record.metrics['test_accuracy']:.2%}")
    print(
        f"the run is in {arguments.out}; export it with: spyglass export {arguments.out} --out models/NAME/1"
    )
    return 0


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return number
