"""The flags that describe a classifier from elsewhere: its preprocessing and its class scores."""

from __future__ import annotations

import argparse

from spyglass_cli.flags.types import fraction_up_to_one, image_size, number_or_quotient


def add_preprocessing(parser: argparse.ArgumentParser) -> None:
    """Add the flags from an image to the input of the network."""
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


def add_class_scores(parser: argparse.ArgumentParser) -> None:
    """Add `--scores` and `--activation`."""
    group = parser.add_argument_group("class scores", "From the output of the network to probabilities.")
    group.add_argument(
        "--scores",
        metavar="NAME",
        help="output or inner tensor that holds the class scores; required if several outputs can hold them",
    )
    group.add_argument(
        "--activation",
        choices=("softmax", "sigmoid", "none"),
        help="activation of the class scores, added unless the graph ends in it: softmax if one class "
        "applies, sigmoid if each class applies by itself, none if the scores are probabilities (default: "
        "found in the graph; softmax if the graph ends in several logits)",
    )


def add_dry_run(parser: argparse.ArgumentParser) -> None:
    """Add `--dry-run` and `--format`."""
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="write nothing: list the feature maps that a heatmap can explain, which of them it explains, "
        "and the operators behind each",
    )
    parser.add_argument(
        "--format",
        choices=("table", "json"),
        default="table",
        help="output format of --dry-run (default: %(default)s)",
    )
