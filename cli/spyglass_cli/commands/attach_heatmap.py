"""`spyglass attach-heatmap`: a model with heatmaps from any ONNX classifier."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from spyglass_cli.flags.arguments import add_model_output
from spyglass_cli.flags.extras import require
from spyglass_cli.flags.heatmap import (
    add_heatmap_flags,
    explained_by,
    heatmap_errors_with_flags,
    print_explained,
)
from spyglass_cli.flags.types import fraction_up_to_one, image_size, number_or_quotient
from spyglass_contract.errors import InvalidInput

if TYPE_CHECKING:
    from spyglass.v1.model_pb2 import ModelCard
    from spyglass_export.adopting.preprocessing import Preprocessing


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "attach-heatmap",
        help="make a model with heatmaps from any ONNX classifier",
        description="Write the classifier with its preprocessing, a heatmap, a card and a certificate. The "
        "certificate proves that the new file gives the same outputs as the original.",
    )
    parser.add_argument(
        "file",
        type=Path,
        metavar="FILE.onnx",
        help="classifier whose input is one image or a batch of images",
    )
    add_model_output(parser)
    _add_input(parser)
    _add_heatmap(parser)
    parser.add_argument(
        "--classes", type=Path, required=True, metavar="TXT", help="file with one class name a line"
    )
    parser.add_argument(
        "--golden",
        type=Path,
        metavar="DIR",
        help="folder of 1 to 8 images for the certificate, of classes that the network knows (default: two "
        "images of noise)",
    )
    parser.add_argument(
        "--description", default="", metavar="TEXT", help="description of the model, in one or two sentences"
    )
    parser.add_argument("--licence", default="", metavar="NAME", help="licence of the weights")
    parser.set_defaults(func=run)


def run(arguments: argparse.Namespace) -> int:
    """Write the file, print the largest difference from the original, and return 0. Raises SpyglassError."""
    _check_crop(arguments)
    for module in ("onnx", "onnxruntime"):
        require("export", module)
    from spyglass_export.adopting.adopt import adopt
    from spyglass_export.adopting.files import open_model, read_class_names
    from spyglass_export.draft import draft_adopted
    from spyglass_export.write import file_to_write, version_folder

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
        adopt(
            open_model(arguments.file),
            card,
            _preprocessing(arguments),
            _golden(arguments.golden),
            target,
            scores=arguments.scores,
            heatmap=explained_by(arguments),
        )
    _print_certificate(arguments, card, target)
    print_explained(card)
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


def _golden(folder: Path | None) -> Mapping[str, bytes]:
    from spyglass_export.adopting.files import made_images, read_golden

    return read_golden(folder) if folder else made_images()


def _print_certificate(arguments: argparse.Namespace, card: ModelCard, target: Path) -> None:
    """Print the largest difference and, for each golden image, its class: a wrong mean shows there."""
    certificate = card.certificate
    kind = "golden images" if arguments.golden else "images of noise"
    print(
        f"{target}: outputs for {len(certificate.images)} {kind} and {len(certificate.tensors)} tensors "
        f"differ from {arguments.file} by at most {certificate.max_abs_diff:.1e} "
        f"(allowed: {certificate.tolerance:.0e})"
    )
    if not arguments.golden:
        print(
            "no --golden: the certificate uses noise, which proves the arithmetic only; pass images of "
            "classes that the network knows to see whether --mean, --std and --channel-order are right",
            file=sys.stderr,
        )
        return
    for image in certificate.images:
        best = max(range(len(card.class_names)), key=image.expected.__getitem__)
        print(f"  {image.name}: {card.class_names[best]} {image.expected[best]:.1%}")


def _add_input(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("preprocessing", "From an image to the input of the network.")
    group.add_argument(
        "--size",
        type=image_size,
        required=True,
        metavar="N|HxW",
        help="height and width of the network's input, in pixels",
    )
    group.add_argument(
        "--resize",
        choices=("stretch", "crop", "pad"),
        default="crop",
        help="how an image of another shape fits the input: stretch it, crop it, or pad it "
        "(default: %(default)s)",
    )
    group.add_argument(
        "--crop-fraction",
        type=fraction_up_to_one,
        metavar="X",
        help="fraction of the largest centred box that --resize crop keeps, such as 0.875 (default: 1)",
    )
    group.add_argument(
        "--scale",
        type=number_or_quotient,
        metavar="X",
        help="factor of the pixels, which are 0 to 255 (default: 1/255 if --mean or --std is given and all "
        "their numbers are at most 1, else 1)",
    )
    group.add_argument(
        "--mean",
        type=number_or_quotient,
        nargs="+",
        default=[0.0],
        metavar="X",
        help="mean to subtract after scaling, one number or one per channel (default: 0)",
    )
    group.add_argument(
        "--std",
        type=number_or_quotient,
        nargs="+",
        default=[1.0],
        metavar="X",
        help="standard deviation to divide by after the mean, one number or one per channel (default: 1)",
    )
    group.add_argument(
        "--channel-order",
        choices=("rgb", "bgr"),
        default="rgb",
        help="order of the input's color channels (default: %(default)s)",
    )


def _add_heatmap(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("heatmap")
    group.add_argument(
        "--scores",
        metavar="OUTPUT",
        help="output that holds the class scores; required if the network has several outputs",
    )
    add_heatmap_flags(group)
