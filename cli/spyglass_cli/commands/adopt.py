"""`spyglass adopt`: a model from any ONNX classifier, with heatmaps."""

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
    from spyglass_export.adopting.adopt import Adopted
    from spyglass_export.adopting.preprocessing import Preprocessing


# Classes of a golden image that the command prints.
_MOST_SHOWN = 5


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
    _add_input(parser)
    _add_scores(parser)
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
    parser.set_defaults(func=run)


def run(arguments: argparse.Namespace) -> int:
    """Write the file, print the largest difference from the original, and return 0. Raises SpyglassError."""
    _check_crop(arguments)
    for module in ("onnx", "onnxruntime"):
        require("export", module)
    heatmap = explained_by(arguments)
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
    _print_certificate(arguments, card, target)
    _print_changes(adopted, images_given=arguments.golden is not None)
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


def _print_changes(adopted: Adopted, *, images_given: bool) -> None:
    """Print what was added to the network, and what its model cannot do."""
    if adopted.assumed:
        print(
            "the graph ends in logits and does not say which activation they need: a softmax was added, for "
            "classes of which one applies; pass --activation sigmoid if several can apply to one image"
        )
    elif adopted.activation:
        print(f"a {adopted.activation.lower()} was added to the logits")
    if adopted.several_labels and images_given:
        print(
            f"several classes are almost certain by themselves in {', '.join(adopted.several_labels)}: if "
            "the network was trained with a sigmoid for each class, pass --activation sigmoid",
            file=sys.stderr,
        )
    if adopted.other_class_names:
        names = ", ".join(adopted.other_class_names[:10])
        print(
            f"the file has class names of its own, the model has those of --classes; in the file: {names}",
            file=sys.stderr,
        )
    if adopted.one_image:
        print(
            f"the network works for one image at a time, and the server will run it so: {adopted.one_image}",
            file=sys.stderr,
        )
    if adopted.no_heatmap:
        print(adopted.no_heatmap, file=sys.stderr)


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
        best = sorted(range(len(card.class_names)), key=image.expected.__getitem__, reverse=True)
        # Of independent labels several can be more probable than not.
        shown = [index for index in best[:_MOST_SHOWN] if image.expected[index] > 0.5] or best[:1]
        classes = ", ".join(f"{card.class_names[index]} {image.expected[index]:.1%}" for index in shown)
        print(f"  {image.name}: {classes}")


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
        "--layout",
        choices=("nchw", "nhwc"),
        help="order of the input's dimensions: nchw has the channels first, nhwc has them last (default: the "
        "one that the file declares, or on which the network runs)",
    )
    group.add_argument(
        "--channel-order",
        choices=("rgb", "bgr"),
        default="rgb",
        help="order of the input's color channels (default: %(default)s)",
    )


def _add_scores(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("class scores", "From the output of the network to probabilities.")
    group.add_argument(
        "--scores",
        metavar="NAME",
        help="output or inner tensor that holds the class scores; required if several outputs can hold them",
    )
    group.add_argument(
        "--activation",
        choices=("softmax", "sigmoid", "none"),
        help="activation to add to the class scores: softmax if one class applies, sigmoid if each class "
        "applies by itself, none if the scores are probabilities (default: found in the graph; softmax if "
        "the graph ends in several logits)",
    )
