"""`spyglass export`: a training run to a model file."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from spyglass_cli.flags.heatmap import (
    add_heatmap_flags,
    explained_by,
    heatmap_errors_with_flags,
    tell_explained,
)
from spyglass_cli.flags.keras import require_keras
from spyglass_contract.errors import InvalidInput

if TYPE_CHECKING:
    from spyglass_contract.model.run_folder import RunFolder


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command."""
    parser = subparsers.add_parser(
        "export",
        help="export a training run to ONNX",
        description="Writes one ONNX file with card and certificate: proof that it answers as Keras does.",
    )
    parser.add_argument("run", type=Path, metavar="RUN", help="the folder of a training run")
    parser.add_argument(
        "--out", type=Path, required=True, metavar="MODELS/NAME/VERSION", help="where model.onnx goes"
    )
    group = parser.add_argument_group("what the heatmap of a classifier explains")
    group.add_argument("--no-heatmap", action="store_true", help="leave it out")
    add_heatmap_flags(group)
    parser.add_argument(
        "--golden",
        type=Path,
        metavar="DIR",
        help="images for the certificate, which the file carries; default: some of the test data",
    )
    parser.add_argument("--force", action="store_true", help="overwrite a version that is there")
    parser.set_defaults(func=run)


def run(arguments: argparse.Namespace) -> int:
    """Exports and says how exact it is. The exit code, 0; raises SpyglassError."""
    if arguments.no_heatmap and (arguments.feature_map or arguments.probability_gradient):
        raise InvalidInput("--feature-map and --probability-gradient are for a heatmap, not for --no-heatmap")
    require_keras()
    from spyglass_contract.model.run_folder import RunFolder
    from spyglass_export.export import export_run
    from spyglass_export.write import FILE_NAME, version_folder

    heatmap = None if arguments.no_heatmap else explained_by(arguments)
    folder = RunFolder(arguments.run)
    golden = _golden(arguments.golden, folder) if arguments.golden else None
    out = version_folder(arguments.out)
    with heatmap_errors_with_flags():
        card = export_run(folder, out, heatmap=heatmap, golden=golden, force=arguments.force)
    certificate = card.certificate
    print(
        f"{out / FILE_NAME}: {len(certificate.images)} golden images and "
        f"{len(certificate.tensors)} tensors answered as by {certificate.reference}, "
        f"to {certificate.max_abs_diff:.1e} (allowed: {certificate.tolerance:.0e})"
    )
    tell_explained(card)
    return 0


def _golden(images: Path, folder: RunFolder) -> Mapping[str, bytes]:
    """Golden files made of other images, as the run has them of its own."""
    from spyglass_contract.model.run_folder import RunFolder
    from spyglass_training.golden import read_images, write_golden

    with tempfile.TemporaryDirectory() as temporary:
        made = RunFolder(Path(temporary))
        write_golden(read_images(images), folder.read_record().input, made.golden)
        return made.read_golden()
