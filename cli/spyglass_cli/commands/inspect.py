"""`spyglass inspect`: tables and drawings of what is inside a network."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spyglass_cli.flags.arguments import add_seed
from spyglass_cli.flags.classes import add_class
from spyglass_cli.flags.extras import require
from spyglass_cli.flags.keras import require_keras
from spyglass_cli.flags.reading import add_reading_flags, reading_options
from spyglass_cli.flags.types import image_file, output_folder, output_png, positive_integer

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from spyglass_training.inspect.opened import Opened

# Takes the parsed arguments and returns the exit code. Raises SpyglassError.
Run = Callable[[argparse.Namespace], int]


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command with its six subcommands."""
    parser = subparsers.add_parser("inspect", help="show what is inside a network")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_summary(commands)
    _add_activations(commands)
    _add_filters(commands)
    _add_heatmap(commands)
    _add_embedding(commands)
    _add_augment(commands)


def summary(arguments: argparse.Namespace) -> int:
    """Print the table of layers."""
    from spyglass_cli.output.layer_table import print_layers

    if arguments.model.suffix == ".onnx":
        require("export", "onnx")
        from spyglass_training.inspect.onnx_summary import summarise_file

        rows = summarise_file(arguments.model)
    else:
        opened = _open(arguments)
        from spyglass_training.inspect.keras_summary import summarise

        rows = summarise(opened.model)
    print_layers(rows, sys.stdout)
    return 0


def activations(arguments: argparse.Namespace) -> int:
    """Draw the feature maps of each layer for an image."""
    opened = _open(arguments)
    from spyglass_training.inspect.activations import draw_activations

    paths = draw_activations(opened.model, _pixels(arguments.image, opened), arguments.out)
    return _print(f"{arguments.out}: {len(paths)} sheets, {paths[0].name} to {paths[-1].name}")


def filters(arguments: argparse.Namespace) -> int:
    """Draw, for each filter of a layer, the image with the strongest response."""
    opened = _open(arguments)
    from spyglass_training.inspect.filters import AscentOptions, draw_filters

    options = AscentOptions(**_given(arguments, "filters", "steps", "seed"))
    shown = draw_filters(opened.model, arguments.layer, options, arguments.out)
    return _print(f"{arguments.out}: {shown} filters of {arguments.layer}")


def heatmap(arguments: argparse.Namespace) -> int:
    """Draw the heatmap of a class."""
    opened = _open(arguments)
    from spyglass_training.inspect.class_names import find_class
    from spyglass_training.inspect.heatmap import compute_heatmap, draw_heatmap

    target = find_class(arguments.target, opened.class_names) if "target" in arguments else None
    result = compute_heatmap(
        opened.model, _pixels(arguments.image, opened), class_index=target, **_given(arguments, "layer")
    )
    draw_heatmap(result, arguments.image.read_bytes(), opened.input, arguments.out)
    name = opened.class_names[result.class_index]
    probability = result.probabilities[result.class_index]
    return _print(f"{arguments.out}: {name} ({probability:.1%}), explained by {result.layer}")


def embedding(arguments: argparse.Namespace) -> int:
    """Draw the features of a data set in two dimensions."""
    require("training", "sklearn")
    opened = _open(arguments)
    from spyglass_training.datasets.registry import open_dataset
    from spyglass_training.inspect.embedding import EmbeddingOptions, draw_embedding

    # The run's seed splits the data, so the test part is the one that the run was tested on.
    reading = reading_options(arguments, opened.seed)
    dataset = open_dataset(getattr(arguments, "dataset", None), arguments.data, opened.input, reading)
    options = EmbeddingOptions(**_given(arguments, "images", "thumbnails", "layer", "seed"))
    split = {"train": dataset.train, "test": dataset.test}[arguments.part]
    shown = draw_embedding(opened.model, split, dataset.class_names, options, arguments.out)
    return _print(f"{arguments.out}: {shown:,} images of the {arguments.part} part")


def augment(arguments: argparse.Namespace) -> int:
    """Draw augmented versions of an image."""
    opened = _open(arguments)
    from spyglass_training.inspect.augment import draw_augmented

    pixels = _pixels(arguments.image, opened)
    draw_augmented(opened.model, pixels, arguments.out, **_given(arguments, "count", "seed"))
    return _print(f"{arguments.out}: augmented as in the training of {arguments.model}")


def _add_summary(commands: Any) -> None:
    text = "print shape, parameters, cost and receptive field of each layer"
    parser = _command(commands, "summary", text, summary)
    parser.add_argument("model", type=Path, metavar="MODEL", help="run folder, .keras file or .onnx file")


def _add_activations(commands: Any) -> None:
    parser = _command(
        commands, "activations", "draw the feature maps of each layer for an image", activations
    )
    _add_model_and_image(parser)
    parser.add_argument(
        "--out", type=output_folder, required=True, metavar="DIR", help="folder to write the PNG files into"
    )


def _add_filters(commands: Any) -> None:
    text = "draw, for each filter of a layer, the image with the strongest response"
    parser = _command(commands, "filters", text, filters)
    _add_model(parser)
    parser.add_argument(
        "--layer",
        required=True,
        metavar="NAME",
        help="name of the layer; `spyglass inspect summary` lists the names",
    )
    _add_out(parser)
    _add_count(parser, "--filters", 64, "largest number of filters to draw, from the first one on")
    _add_count(parser, "--steps", 30, "steps of gradient ascent")
    add_seed(parser, "the same images", 0)


def _add_heatmap(commands: Any) -> None:
    parser = _command(commands, "heatmap", "draw the heatmap of a class over an image (Grad-CAM)", heatmap)
    _add_model_and_image(parser)
    _add_out(parser)
    add_class(
        parser.add_mutually_exclusive_group(), "target", "class to explain (default: the predicted one)"
    )
    parser.add_argument(
        "--layer",
        metavar="NAME",
        help="layer whose feature maps to explain (default: the last one that has feature maps)",
    )


def _add_embedding(commands: Any) -> None:
    text = "draw the features of a data set in two dimensions (t-SNE)"
    parser = _command(commands, "embedding", text, embedding)
    _add_model(parser)
    add_reading_flags(parser)
    parser.add_argument(
        "--part",
        choices=("train", "test"),
        default="test",
        help="part of the data set to draw (default: %(default)s)",
    )
    _add_out(parser)
    _add_count(parser, "--images", 1000, "largest number of images, drawn at random")
    parser.add_argument(
        "--thumbnails",
        action="store_true",
        help="draw small images in place of points (default: draw points)",
    )
    parser.add_argument(
        "--layer",
        metavar="NAME",
        help="layer whose output to draw (default: the input of the last layer with weights)",
    )
    add_seed(parser, "the same drawing", 0)


def _add_augment(commands: Any) -> None:
    parser = _command(commands, "augment", "draw augmented versions of an image", augment)
    _add_model_and_image(parser)
    _add_out(parser)
    _add_count(parser, "--count", 15, "number of augmented versions")
    add_seed(parser, "the same drawing", 0)


def _command(commands: Any, name: str, text: str, run: Run) -> argparse.ArgumentParser:
    """Add a subcommand; `text`, an imperative, is its help in the list of subcommands."""
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=text,
        description=f"{text[0].upper()}{text[1:]}.",
        argument_default=argparse.SUPPRESS,
    )
    parser.set_defaults(func=run)
    return parser


def _add_model(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", type=Path, metavar="MODEL", help="run folder or .keras file")


def _add_model_and_image(parser: argparse.ArgumentParser) -> None:
    _add_model(parser)
    parser.add_argument("image", type=image_file, metavar="IMAGE", help="image file")


def _add_out(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", type=output_png, required=True, metavar="FILE.png", help="PNG file to write")


def _add_count(parser: argparse.ArgumentParser, flag: str, default: int, text: str) -> None:
    parser.add_argument(
        flag, type=positive_integer, default=default, metavar="N", help=f"{text} (default: %(default)s)"
    )


def _open(arguments: argparse.Namespace) -> Opened:
    require_keras(to_export=False)
    from spyglass_training.inspect.opened import open_model

    return open_model(arguments.model)


def _pixels(image: Path, opened: Opened) -> NDArray[np.uint8]:
    from spyglass_contract.images.pixels import prepare

    return prepare(image.read_bytes(), opened.input).pixels


def _given(arguments: argparse.Namespace, *names: str) -> dict[str, Any]:
    return {name: value for name, value in vars(arguments).items() if name in names}


def _print(text: str) -> int:
    print(text)
    return 0
