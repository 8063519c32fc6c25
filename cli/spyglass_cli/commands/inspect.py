"""`spyglass inspect`: looking inside a network."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spyglass_cli.flags.extras import require
from spyglass_cli.flags.keras import require_keras
from spyglass_cli.flags.reading import add_reading_flags, reading_options
from spyglass_cli.flags.types import count, drawing, folder_to_fill, image, seed

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from spyglass_training.inspect.opened import Opened

# Each takes the parsed arguments and returns the exit code; raises SpyglassError.
Run = Callable[[argparse.Namespace], int]


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command with its own six. What is not given is left to the defaults of their options."""
    parser = subparsers.add_parser("inspect", help="look inside a network")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_summary(commands)
    _add_activations(commands)
    _add_filters(commands)
    _add_heatmap(commands)
    _add_embedding(commands)
    _add_augment(commands)


def summary(arguments: argparse.Namespace) -> int:
    """Prints the table of layers."""
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
    """Draws what each layer makes of an image."""
    opened = _open(arguments)
    from spyglass_training.inspect.activations import draw_activations

    paths = draw_activations(opened.model, _pixels(arguments.image, opened), arguments.out)
    return _tell(f"{arguments.out}: {len(paths)} sheets, {paths[0].name} to {paths[-1].name}")


def filters(arguments: argparse.Namespace) -> int:
    """Draws what each filter of a layer answers to."""
    opened = _open(arguments)
    from spyglass_training.inspect.filters import AscentOptions, draw_filters

    options = AscentOptions(**_given(arguments, "filters", "steps", "seed"))
    shown = draw_filters(opened.model, arguments.layer, options, arguments.out)
    return _tell(f"{arguments.out}: {shown} filters of {arguments.layer}")


def heatmap(arguments: argparse.Namespace) -> int:
    """Draws where a network saw a class."""
    opened = _open(arguments)
    from spyglass_training.inspect.class_names import find_class
    from spyglass_training.inspect.heatmap import compute_heatmap, draw_heatmap

    target = find_class(arguments.class_name, opened.class_names) if "class_name" in arguments else None
    found = compute_heatmap(
        opened.model, _pixels(arguments.image, opened), class_index=target, **_given(arguments, "layer")
    )
    draw_heatmap(found, arguments.image.read_bytes(), opened.input, arguments.out)
    name = opened.class_names[found.class_index]
    score = found.probabilities[found.class_index]
    return _tell(f"{arguments.out}: {name} ({score:.1%}), explained by {found.layer}")


def embedding(arguments: argparse.Namespace) -> int:
    """Draws a data set as the network sees it."""
    require("training", "sklearn")
    opened = _open(arguments)
    from spyglass_training.datasets.registry import open_dataset
    from spyglass_training.inspect.embedding import EmbeddingOptions, draw_embedding

    # By the seed of the run: what is shown as its test part must be what it was tested on.
    reading = reading_options(arguments, opened.seed)
    dataset = open_dataset(getattr(arguments, "dataset", None), arguments.data, opened.input, reading)
    options = EmbeddingOptions(**_given(arguments, "images", "thumbnails", "layer", "seed"))
    split = {"train": dataset.train, "test": dataset.test}[arguments.part]
    shown = draw_embedding(opened.model, split, dataset.class_names, options, arguments.out)
    return _tell(f"{arguments.out}: {shown:,} images of the {arguments.part} part")


def augment(arguments: argparse.Namespace) -> int:
    """Draws augmented versions of an image."""
    opened = _open(arguments)
    from spyglass_training.inspect.augment import draw_augmented

    pixels = _pixels(arguments.image, opened)
    draw_augmented(opened.model, pixels, arguments.out, **_given(arguments, "count", "seed"))
    return _tell(f"{arguments.out}: augmented as {arguments.model} was in training")


def _add_summary(commands: Any) -> None:
    parser = _command(
        commands, "summary", "shapes, parameters, receptive fields and cost of each layer", summary
    )
    parser.add_argument("model", type=Path, metavar="MODEL", help="a run, a .keras or an .onnx file")


def _add_activations(commands: Any) -> None:
    parser = _command(commands, "activations", "what each layer makes of an image", activations)
    _add_model_and_image(parser)
    parser.add_argument("--out", type=folder_to_fill, required=True, metavar="DIR", help="where the PNGs go")


def _add_filters(commands: Any) -> None:
    parser = _command(commands, "filters", "what each filter of a layer answers to", filters)
    _add_model(parser)
    parser.add_argument("--layer", required=True, metavar="NAME", help="its name; `summary` lists them")
    _add_out(parser)
    parser.add_argument("--filters", type=count, metavar="N", help="how many, from the first")
    parser.add_argument("--steps", type=count, metavar="N", help="of gradient ascent")
    _add_seed(parser)


def _add_heatmap(commands: Any) -> None:
    parser = _command(commands, "heatmap", "where a network saw a class (Grad-CAM)", heatmap)
    _add_model_and_image(parser)
    _add_out(parser)
    parser.add_argument(
        "--class", dest="class_name", metavar="NAME", help="or its index; default: the predicted one"
    )
    parser.add_argument("--layer", metavar="NAME", help="whose maps explain; default: the last ones")


def _add_embedding(commands: Any) -> None:
    parser = _command(commands, "embedding", "a data set as the network sees it (t-SNE)", embedding)
    _add_model(parser)
    add_reading_flags(parser)
    parser.add_argument("--part", choices=("train", "test"), default="test", help="default: %(default)s")
    _add_out(parser)
    parser.add_argument("--images", type=count, metavar="N", help="how many, drawn at random")
    parser.add_argument("--thumbnails", action="store_true", help="draw the images themselves")
    parser.add_argument("--layer", metavar="NAME", help="whose output is shown; default: the last but one")
    _add_seed(parser)


def _add_augment(commands: Any) -> None:
    parser = _command(commands, "augment", "augmented versions of an image", augment)
    _add_model_and_image(parser)
    _add_out(parser)
    parser.add_argument("--count", type=count, metavar="N", help="how many")
    _add_seed(parser)


def _command(commands: Any, name: str, text: str, run: Run) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(name, help=text, argument_default=argparse.SUPPRESS)
    parser.set_defaults(func=run)
    return parser


def _add_model(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", type=Path, metavar="MODEL", help="the folder of a run, or a .keras file")


def _add_model_and_image(parser: argparse.ArgumentParser) -> None:
    _add_model(parser)
    parser.add_argument("image", type=image, metavar="IMAGE")


def _add_out(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", type=drawing, required=True, metavar="FILE.png", help="the PNG to write")


def _add_seed(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seed", type=seed, metavar="N", help="the same seed gives the same image")


def _open(arguments: argparse.Namespace) -> Opened:
    require_keras(to_export=False)
    from spyglass_training.inspect.opened import open_model

    return open_model(arguments.model)


def _pixels(image: Path, opened: Opened) -> NDArray[np.uint8]:
    from spyglass_contract.images.pixels import prepare

    return prepare(image.read_bytes(), opened.input).pixels


def _given(arguments: argparse.Namespace, *names: str) -> dict[str, Any]:
    return {name: value for name, value in vars(arguments).items() if name in names}


def _tell(text: str) -> int:
    print(text)
    return 0
