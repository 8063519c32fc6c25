"""Arguments that several commands take: networks, run folders, model files and seeds."""

from __future__ import annotations

import argparse
from pathlib import Path

from spyglass_cli.flags.types import output_folder, seed


def add_architecture(parser: argparse.ArgumentParser, example: str) -> None:
    """Add MODEL, the name of a network, such as `example`."""
    parser.add_argument("architecture", metavar="MODEL", help=f"name of the network, such as {example}")


def add_run_output(parser: argparse._ActionsContainer) -> None:
    """Add `--out` for a run folder."""
    parser.add_argument(
        "--out", type=output_folder, required=True, metavar="RUN", help="run folder to create"
    )


def add_model_output(parser: argparse.ArgumentParser) -> None:
    """Add `--out` and `--force` for a model file."""
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="MODELS/NAME/VERSION",
        help="folder to write model.onnx into",
    )
    parser.add_argument("--force", action="store_true", help="overwrite a version that exists")


def add_seed(parser: argparse._ActionsContainer, effect: str, default: int) -> None:
    """Add `--seed`; `effect` completes "the same seed gives"."""
    parser.add_argument(
        "--seed",
        type=seed,
        default=default,
        metavar="N",
        help=f"seed of random numbers; the same seed gives {effect} (default: %(default)s)",
    )
