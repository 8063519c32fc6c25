"""`spyglass pretrained`: a run folder from weights that others have published."""

from __future__ import annotations

import argparse
from pathlib import Path

from spyglass_cli.flags.keras import require_keras
from spyglass_cli.flags.types import folder_to_fill


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command."""
    parser = subparsers.add_parser(
        "pretrained",
        help="take a network's published weights",
        description="Makes a run folder, as training does, from a network's published weights.",
    )
    parser.add_argument("architecture", metavar="MODEL", help="the network, such as efficientnet-lite0")
    parser.add_argument(
        "--images", type=Path, required=True, metavar="DIR", help="images that prove the exported model"
    )
    parser.add_argument("--out", type=folder_to_fill, required=True, metavar="RUN", help="the folder to make")
    parser.set_defaults(func=run)


def run(arguments: argparse.Namespace) -> int:
    """Makes the folder and says so. The exit code, 0; raises SpyglassError."""
    require_keras(to_export=False)
    from spyglass_contract.model.run_folder import RunFolder
    from spyglass_training.golden import read_images
    from spyglass_training.pretrained import assemble, find_published

    published = find_published(arguments.architecture)
    record = assemble(published, read_images(arguments.images), RunFolder(arguments.out))
    print(f"{record.architecture}: {record.parameters:,} parameters, {record.data.licence}")
    print(
        f"the run is in {arguments.out}; export it with: spyglass export {arguments.out} --out models/NAME/1"
    )
    return 0
