"""`spyglass pretrained`: a run folder from published weights."""

from __future__ import annotations

import argparse
from pathlib import Path

from spyglass_cli.flags.arguments import add_architecture, add_run_output
from spyglass_cli.flags.keras import require_keras


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "pretrained",
        help="make a run folder from published weights",
        description="Make a run folder, as `spyglass train` does, from the published weights of a network.",
    )
    add_architecture(parser, "efficientnet-lite0")
    parser.add_argument(
        "--images",
        type=Path,
        required=True,
        metavar="DIR",
        help="folder of images for the certificate of the exported model",
    )
    add_run_output(parser)
    parser.set_defaults(func=run)


def run(arguments: argparse.Namespace) -> int:
    """Make the folder, print its path and return 0. Raises SpyglassError."""
    require_keras(to_export=False)
    from spyglass_contract.model.run_folder import RunFolder
    from spyglass_training.golden import read_images
    from spyglass_training.pretrained import assemble, find_published

    published = find_published(arguments.architecture)
    record = assemble(published, read_images(arguments.images), RunFolder(arguments.out))
    print(f"{record.architecture}: {record.parameters:,} parameters, {record.data.licence}")
    print(
        f"wrote the run {arguments.out}; export it with: spyglass export {arguments.out} --out models/NAME/1"
    )
    return 0
