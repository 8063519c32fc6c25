"""`spyglass attach-heatmap`: anyone's ONNX classifier to a model that is served and explained."""

from __future__ import annotations

import argparse
from fractions import Fraction
from pathlib import Path

from spyglass_cli.extras import require
from spyglass_contract.card import HEATMAP_METHODS


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command."""
    parser = subparsers.add_parser(
        "attach-heatmap",
        help="make anyone's ONNX classifier a model with heatmaps",
        description="Writes the classifier with its preprocessing, a heatmap, card and certificate in it: "
        "proof that it answers as the file did that was given.",
    )
    parser.add_argument("file", type=Path, metavar="FILE.onnx", help="takes float32 pictures")
    parser.add_argument(
        "--out", type=Path, required=True, metavar="MODELS/NAME/VERSION", help="where model.onnx goes"
    )
    _add_input(parser)
    _add_heatmap(parser)
    parser.add_argument(
        "--classes", type=Path, required=True, metavar="TXT", help="a class name on each line"
    )
    parser.add_argument(
        "--golden", type=Path, required=True, metavar="DIR", help="1 to 8 pictures for the certificate"
    )
    parser.add_argument("--description", default="", metavar="TEXT", help="one or two sentences for people")
    parser.add_argument("--licence", default="", metavar="NAME", help="under which the weights are passed on")
    parser.add_argument("--force", action="store_true", help="overwrite a version that is there")
    parser.set_defaults(func=run)


def run(arguments: argparse.Namespace) -> int:
    """Writes the file and says how exact it is. The exit code, 0; raises SpyglassError."""
    for module in ("onnx", "onnxruntime"):
        require("export", module)
    from spyglass_export.adopt import adopt
    from spyglass_export.adopted import draft_adopted, open_model, read_class_names, read_golden
    from spyglass_export.explain import Explained
    from spyglass_export.preprocessing import Preprocessing
    from spyglass_export.write import file_to_write

    target = file_to_write(arguments.out, force=arguments.force)
    card = draft_adopted(
        arguments.file,
        arguments.out,
        class_names=read_class_names(arguments.classes),
        size=arguments.size,
        resize=arguments.resize,
        crop_fraction=arguments.crop_fraction,
        description=arguments.description,
        licence=arguments.licence,
    )
    adopt(
        open_model(arguments.file),
        card,
        Preprocessing(arguments.scale, arguments.mean, arguments.std, bgr=arguments.channel_order == "bgr"),
        read_golden(arguments.golden),
        target,
        output=arguments.scores,
        explained=Explained(
            arguments.feature_map,
            arguments.method,
            "probability" if arguments.probability_gradient else "logit",
        ),
    )
    certificate = card.certificate
    print(
        f"{target}: {len(certificate.pictures)} golden pictures and {len(certificate.tensors)} tensors "
        f"answered as by {arguments.file}, to {certificate.max_abs_diff:.1e} "
        f"(allowed: {certificate.tolerance:.0e})"
    )
    print(f"heatmaps explain {card.explained_layer} ({card.heatmap_method})")
    return 0


def _add_input(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("how a picture becomes the network's input")
    group.add_argument(
        "--size", type=_size, required=True, metavar="N or HxW", help="height and width in pixels"
    )
    group.add_argument("--resize", choices=("stretch", "crop", "pad"), default="crop", help="default: crop")
    group.add_argument(
        "--crop-fraction",
        type=float,
        default=1.0,
        metavar="F",
        help="of the largest centred box, what `crop` keeps, such as 0.875; default: 1, all of it",
    )
    group.add_argument(
        "--scale", type=_number, default=1.0, metavar="X", help="pixels of 0 to 255 times this, such as 1/255"
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
    group.add_argument(
        "--feature-map", metavar="NAME", help="a tensor or node; default: the last spatial one"
    )
    group.add_argument(
        "--method",
        choices=HEATMAP_METHODS,
        default=HEATMAP_METHODS[0],
        help="scorecam takes a forward pass for each channel (default: %(default)s)",
    )
    group.add_argument(
        "--probability-gradient", action="store_true", help="of the probability, not of the logit"
    )


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
