"""`spyglass export`: a model file from a training run."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from spyglass_cli.flags.arguments import add_model_output
from spyglass_cli.flags.baseline import add_baseline_option, check_baseline, write_baseline
from spyglass_cli.flags.heatmap import (
    add_heatmap_flags,
    explained_by,
    heatmap_errors_with_flags,
    print_explained,
)
from spyglass_cli.flags.keras import require_keras
from spyglass_cli.flags.quantising import add_precision, check_precision, quantise_file
from spyglass_cli.output.reduced_precision import print_reduced

if TYPE_CHECKING:
    from spyglass_contract.model.run_folder import RunFolder


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "export",
        help="export a training run to ONNX",
        description="Write one ONNX file with a card and a certificate. The certificate proves that the "
        "file gives the same outputs as the Keras model.",
    )
    parser.add_argument("run", type=Path, metavar="RUN", help="folder of the training run")
    add_model_output(parser)
    group = parser.add_argument_group("heatmap", "The heatmaps of a classifier.")
    add_heatmap_flags(group)
    parser.add_argument(
        "--golden",
        type=Path,
        metavar="DIR",
        help="folder of images for the certificate; the file contains them (default: some test images)",
    )
    add_baseline_option(parser)
    add_precision(parser)
    parser.set_defaults(func=run)


def run(arguments: argparse.Namespace) -> int:
    """Export, print the largest difference from Keras, and return 0. Raises SpyglassError."""
    check_precision(arguments)
    check_baseline(arguments.baseline)
    heatmap = explained_by(arguments)
    require_keras()
    from spyglass_contract.model.run_folder import RunFolder
    from spyglass_export.export import export_run
    from spyglass_export.write import FILE_NAME, version_folder

    folder = RunFolder(arguments.run)
    golden = _golden(arguments.golden, folder) if arguments.golden else None
    out = version_folder(arguments.out)
    with heatmap_errors_with_flags():
        card = export_run(
            folder,
            out,
            heatmap=heatmap,
            golden=golden,
            force=arguments.force,
            notify=partial(print, file=sys.stderr),
        )
    certificate = card.certificate
    print(
        f"{out / FILE_NAME}: outputs for {len(certificate.images)} golden images and "
        f"{len(certificate.tensors)} tensors differ from {certificate.reference} "
        f"by at most {certificate.max_abs_diff:.1e} (allowed: {certificate.tolerance:.0e})"
    )
    print_explained(card)
    write_baseline(out / FILE_NAME, arguments.baseline)
    if arguments.precision == "int8":
        print_reduced(quantise_file(out / FILE_NAME, arguments))
    return 0


def _golden(images: Path, folder: RunFolder) -> Mapping[str, bytes]:
    """Return golden files by name, made of `images` in place of the images of the run."""
    from spyglass_contract.model.run_folder import RunFolder
    from spyglass_training.golden import read_images, write_golden

    with tempfile.TemporaryDirectory() as temporary:
        made = RunFolder(Path(temporary))
        write_golden(read_images(images), folder.read_record().input, made.golden)
        return made.read_golden()
