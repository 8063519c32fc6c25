"""`spyglass attach-heatmap`: anyone's ONNX classifier to a model that is served and explained."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from spyglass_cli.flags.extras import require
from spyglass_cli.flags.heatmap import (
    add_heatmap_flags,
    explained_by,
    heatmap_errors_with_flags,
    tell_explained,
)
from spyglass_contract.errors import InvalidInput

if TYPE_CHECKING:
    from spyglass.v1.model_pb2 import ModelCard
    from spyglass_export.adopting.preprocessing import Preprocessing


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command."""
    parser = subparsers.add_parser(
        "attach-heatmap",
        help="make anyone's ONNX classifier a model with heatmaps",
        description="Writes the classifier with its preprocessing, a heatmap, card and certificate in it: "
        "proof that it answers as the file did that was given.",
    )
    parser.add_argument("file", type=Path, metavar="FILE.onnx", help="takes one image, or a batch of them")
    parser.add_argument(
        "--out", type=Path, required=True, metavar="MODELS/NAME/VERSION", help="where model.onnx goes"
    )
    _add_input(parser)
    _add_heatmap(parser)
    parser.add_argument(
        "--classes", type=Path, required=True, metavar="TXT", help="a class name on each line"
    )
    parser.add_argument(
        "--golden",
        type=Path,
        metavar="DIR",
        help="1 to 8 images for the certificate, of what the network knows; default: two of noise",
    )
    parser.add_argument("--description", default="", metavar="TEXT", help="one or two sentences for people")
    parser.add_argument("--licence", default="", metavar="NAME", help="under which the weights are passed on")
    parser.add_argument("--force", action="store_true", help="overwrite a version that is there")
    parser.set_defaults(func=run)


def run(arguments: argparse.Namespace) -> int:
    """Writes the file and says how exact it is. The exit code, 0; raises SpyglassError."""
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
    _tell_certificate(arguments, card, target)
    tell_explained(card)
    return 0


def _check_crop(arguments: argparse.Namespace) -> None:
    """Raises InvalidInput for a part of the image that is none, or is not cut out."""
    fraction = arguments.crop_fraction
    if fraction is not None and not 0 < fraction <= 1:
        raise InvalidInput(
            f"--crop-fraction {fraction:g} is not above 0 and at most 1", field="crop_fraction"
        )
    if fraction is not None and arguments.resize != "crop":
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
                "--mean and --std are of pixels from 0 to 1, so pixels are divided by 255 first; "
                "--scale 1 leaves them at 0 to 255",
                file=sys.stderr,
            )
    return Preprocessing(scale, arguments.mean, arguments.std, bgr=arguments.channel_order == "bgr")


def _golden(folder: Path | None) -> Mapping[str, bytes]:
    from spyglass_export.adopting.files import made_images, read_golden

    return read_golden(folder) if folder else made_images()


def _tell_certificate(arguments: argparse.Namespace, card: ModelCard, target: Path) -> None:
    """How exact the answers are, and what they are: a wrong mean shows in them."""
    certificate = card.certificate
    kind = "golden images" if arguments.golden else "images of noise"
    print(
        f"{target}: {len(certificate.images)} {kind} and {len(certificate.tensors)} tensors "
        f"answered as by {arguments.file}, to {certificate.max_abs_diff:.1e} "
        f"(allowed: {certificate.tolerance:.0e})"
    )
    if not arguments.golden:
        print(
            "no --golden: the certificate is of noise, which proves the arithmetic; only images of what "
            "the network knows would show whether --mean, --std and --channel-order are the right ones",
            file=sys.stderr,
        )
        return
    for image in certificate.images:
        best = max(range(len(card.class_names)), key=image.expected.__getitem__)
        print(f"  {image.name}: {card.class_names[best]} {image.expected[best]:.1%}")


def _add_input(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("how an image becomes the network's input")
    group.add_argument(
        "--size", type=_size, required=True, metavar="N or HxW", help="height and width in pixels"
    )
    group.add_argument("--resize", choices=("stretch", "crop", "pad"), default="crop", help="default: crop")
    group.add_argument(
        "--crop-fraction",
        type=float,
        metavar="F",
        help="of the largest centred box, what `crop` keeps, such as 0.875; default: 1, all of it",
    )
    group.add_argument(
        "--scale",
        type=_number,
        metavar="X",
        help="pixels of 0 to 255 times this; default: 1/255 where mean and std are at most 1, else 1",
    )
    group.add_argument(
        "--mean", type=_number, nargs="+", default=[0.0], metavar="X", help="of each channel, then subtracted"
    )
    group.add_argument(
        "--std", type=_number, nargs="+", default=[1.0], metavar="X", help="of each channel, then divided by"
    )
    group.add_argument("--channel-order", choices=("rgb", "bgr"), default="rgb", help="default: rgb")


def _add_heatmap(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("what the heatmap explains")
    group.add_argument("--scores", metavar="OUTPUT", help="the class scores, where there are several outputs")
    add_heatmap_flags(group)


def _number(text: str) -> float:
    """A number such as 0.5, or a quotient such as 1/255."""
    try:
        return float(Fraction(text))
    except (ValueError, ZeroDivisionError) as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no number") from error


def _size(text: str) -> tuple[int, int]:
    """(height, width) of 224, or of 224x160."""
    sides = text.split("x")
    if not all(side.isdecimal() and int(side) > 0 for side in sides) or len(sides) > 2:
        raise argparse.ArgumentTypeError(f"{text!r} is no size such as 224 or 224x160")
    return int(sides[0]), int(sides[-1])
