"""`spyglass adopt`: a model from any ONNX classifier, with heatmaps."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from spyglass_cli.flags.adopting import add_class_scores, add_dry_run, add_preprocessing
from spyglass_cli.flags.arguments import add_model_output
from spyglass_cli.flags.baseline import add_baseline_option, check_baseline, write_baseline
from spyglass_cli.flags.extras import require
from spyglass_cli.flags.heatmap import (
    add_heatmap_flags,
    explained_by,
    heatmap_errors_with_flags,
    print_explained,
)
from spyglass_cli.flags.quantising import add_precision, check_precision, quantise_file
from spyglass_cli.output.adopted_model import print_certificate, print_changes
from spyglass_cli.output.feature_maps import print_maps
from spyglass_cli.output.reduced_precision import print_reduced
from spyglass_contract.errors import InvalidInput

if TYPE_CHECKING:
    from spyglass_export.adopting.preprocessing import Preprocessing
    from spyglass_export.heatmap import HeatmapOptions


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    add_named(subparsers, "adopt", "make a model from any ONNX classifier")


def add_named(
    subparsers: argparse._SubParsersAction[argparse.ArgumentParser], name: str, summary: str
) -> None:
    """Add the command under `name`, with `summary` in the list of all commands."""
    parser = subparsers.add_parser(
        name,
        help=summary,
        description="Write an ONNX classifier with its preprocessing, a heatmap, a card and a certificate. "
        "The certificate proves that the new file gives the same outputs as the original.",
    )
    parser.add_argument(
        "file",
        type=Path,
        metavar="FILE.onnx",
        help="classifier whose input is one image or a batch of images",
    )
    add_model_output(parser)
    add_preprocessing(parser)
    add_class_scores(parser)
    add_heatmap_flags(parser.add_argument_group("heatmap"))
    parser.add_argument(
        "--classes",
        type=Path,
        required=True,
        metavar="FILE",
        help="text with one class name a line, or JSON: a list, an object from index to name, or a "
        "config.json with id2label",
    )
    parser.add_argument(
        "--golden",
        type=Path,
        metavar="DIR",
        help="folder of 1 to 8 images for the certificate, of classes that the network knows; large ones are "
        "made smaller (default: two images of noise)",
    )
    parser.add_argument(
        "--description", default="", metavar="TEXT", help="description of the model, in one or two sentences"
    )
    parser.add_argument("--licence", default="", metavar="NAME", help="licence of the weights")
    add_baseline_option(parser)
    add_precision(parser)
    add_dry_run(parser)
    parser.set_defaults(func=run)


def run(arguments: argparse.Namespace) -> int:
    """Write the file, print the largest difference from the original, and return 0. Raises SpyglassError."""
    _check_crop(arguments)
    check_precision(arguments)
    check_baseline(arguments.baseline)
    for module in ("onnx", "onnxruntime"):
        require("export", module)
    heatmap = explained_by(arguments)
    if arguments.dry_run:
        return _list_maps(arguments, heatmap)
    from spyglass_contract.onnx_runtime import onnxruntime
    from spyglass_export.adopting.adopt import Options, adopt
    from spyglass_export.adopting.class_names import read_class_names
    from spyglass_export.adopting.onnx_file import open_model
    from spyglass_export.draft import draft_adopted
    from spyglass_export.write import file_to_write, version_folder

    # Every error is raised and printed once.
    onnxruntime.set_default_logger_severity(4)
    folder = version_folder(arguments.out)
    target = file_to_write(folder, force=arguments.force)
    card = draft_adopted(
        arguments.file,
        folder,
        class_names=read_class_names(arguments.classes),
        size=arguments.size,
        resize=arguments.resize,
        crop_fraction=arguments.crop_fraction or 1.0,
        description=arguments.description,
        licence=arguments.licence,
    )
    with heatmap_errors_with_flags():
        adopted = adopt(
            open_model(arguments.file),
            card,
            _preprocessing(arguments),
            _golden(arguments.golden, arguments.size),
            target,
            Options(arguments.scores, arguments.layout, arguments.activation, heatmap),
        )
    print_certificate(card, arguments.file, target, images_given=arguments.golden is not None)
    print_changes(adopted, images_given=arguments.golden is not None)
    print_explained(card)
    write_baseline(target, arguments.baseline)
    if arguments.precision == "int8":
        print_reduced(quantise_file(target, arguments))
    return 0


def _list_maps(arguments: argparse.Namespace, heatmap: HeatmapOptions | None) -> int:
    """Print the feature maps that a heatmap can explain, write nothing, and return 0."""
    if heatmap is None:
        raise InvalidInput("--dry-run lists feature maps for a heatmap: leave out --no-heatmap")
    from spyglass_contract.onnx_runtime import onnxruntime
    from spyglass_export.adopting.adopt import Options
    from spyglass_export.adopting.listing import list_maps
    from spyglass_export.adopting.onnx_file import open_model

    onnxruntime.set_default_logger_severity(4)
    options = Options(arguments.scores, arguments.layout, arguments.activation, heatmap)
    with heatmap_errors_with_flags():
        candidates = list_maps(open_model(arguments.file), arguments.size, options, heatmap)
    print_maps(candidates, arguments.format, sys.stdout)
    return 0


def _check_crop(arguments: argparse.Namespace) -> None:
    """Raise InvalidInput if --crop-fraction is given for a resize that does not crop."""
    if arguments.crop_fraction is not None and arguments.resize != "crop":
        raise InvalidInput(
            f"--crop-fraction is for --resize crop; {arguments.resize} keeps the whole image",
            field="crop_fraction",
        )


def _preprocessing(arguments: argparse.Namespace) -> Preprocessing:
    from spyglass_export.adopting.preprocessing import Preprocessing, customary_scale

    scale = arguments.scale
    if scale is None:
        scale = customary_scale(arguments.mean, arguments.std)
        if scale != 1:
            print(
                "--mean and --std are for pixels from 0 to 1: pixels are divided by 255 first; "
                "pass --scale 1 to keep pixels from 0 to 255",
                file=sys.stderr,
            )
    return Preprocessing(scale, arguments.mean, arguments.std, bgr=arguments.channel_order == "bgr")


def _golden(folder: Path | None, size: tuple[int, int]) -> Mapping[str, bytes]:
    from spyglass_export.adopting.golden_images import made_images, read_golden

    if folder is None:
        return made_images()
    golden = read_golden(folder, *size)
    for name, encoded in golden.items():
        before = (folder / name).stat().st_size
        if before != len(encoded):
            print(
                f"{name}: the model file holds a smaller copy, {len(encoded):,} of {before:,} bytes",
                file=sys.stderr,
            )
    return golden
