"""`spyglass export`: a training run to a model file."""

from __future__ import annotations

import argparse
from pathlib import Path

from spyglass_cli.keras_extra import require_keras


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
    parser.add_argument("--no-heatmap", action="store_true", help="leave the heatmap out of a classifier")
    parser.add_argument("--force", action="store_true", help="overwrite a version that is there")
    parser.set_defaults(func=run)


def run(arguments: argparse.Namespace) -> int:
    """Exports and says how exact it is. The exit code, 0; raises SpyglassError."""
    require_keras()
    from spyglass_contract.run_folder import RunFolder
    from spyglass_export.export import export_run
    from spyglass_export.write import FILE_NAME

    card = export_run(
        RunFolder(arguments.run), arguments.out, heatmap=not arguments.no_heatmap, force=arguments.force
    )
    certificate = card.certificate
    print(
        f"{arguments.out / FILE_NAME}: {len(certificate.pictures)} golden pictures and "
        f"{len(certificate.tensors)} tensors answered as by {certificate.reference}, "
        f"to {certificate.max_abs_diff:.1e} (allowed: {certificate.tolerance:.0e})"
    )
    if card.explained_layer:
        print(f"heatmaps explain {card.explained_layer}")
    return 0
