"""`spyglass dataset`: subsets of large data sets, and composed data sets."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from spyglass_cli.flags.arguments import add_seed
from spyglass_cli.flags.types import non_negative_integer, output_folder, positive_integer

# Images of each class, as in the book that `make_subset` names.
_SUBSET = {"train": 1000, "validation": 500, "test": 1000}


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command with `make-subset` and `compose`."""
    parser = subparsers.add_parser("dataset", help="make a data set for training")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_make_subset(commands)
    _add_compose(commands)


def make_subset(arguments: argparse.Namespace) -> int:
    """Copy the images, print how many, and return 0. Raises SpyglassError."""
    from spyglass_training.datasets.subset import make_subset

    sizes = {part: getattr(arguments, part) for part in _SUBSET}
    return _print_counts(arguments.out, make_subset(arguments.source, arguments.out, sizes))


def compose(arguments: argparse.Namespace) -> int:
    """Compose the images, print how many, and return 0. Raises SpyglassError."""
    from spyglass_training.datasets.composition.folder import CompositionOptions, compose_folder
    from spyglass_training.datasets.composition.scene import SceneOptions

    scene = SceneOptions(**_given(arguments, "size", "max_objects", "contour"))
    options = CompositionOptions(scene=scene, **_given(arguments, "images", "seed", "name", "licence"))
    counts = compose_folder(arguments.cutouts, arguments.backgrounds, arguments.out, options)
    return _print_counts(arguments.out, counts)


def _add_make_subset(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "make-subset",
        help="copy a training, a validation and a test part out of a large collection",
        description="Copy a number of images of each class into each part, in the order of their numbers.",
    )
    parser.add_argument(
        "source",
        type=Path,
        metavar="DIR",
        help="the collection: images named CLASS.NUMBER.jpg, or one folder of images for each class",
    )
    parser.add_argument("--out", type=output_folder, required=True, metavar="DIR", help="folder to create")
    for part, size in _SUBSET.items():
        parser.add_argument(
            f"--{part}",
            type=positive_integer,
            default=size,
            metavar="N",
            help=f"images of each class in the {part} part (default: %(default)s)",
        )
    parser.set_defaults(func=make_subset)


def _add_compose(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `compose`. Its parser suppresses defaults: `CompositionOptions` and `SceneOptions` have them."""
    from spyglass_training.datasets.composition.folder import CompositionOptions
    from spyglass_training.datasets.composition.scene import SceneOptions

    defaults, scene = CompositionOptions(), SceneOptions()
    parser = commands.add_parser(
        "compose",
        help="paste cut-outs on backgrounds, to train segmentation",
        description="Compose images with exact trimaps, in the layout of Oxford-IIIT Pet. The training part "
        "contains no object and no background of the test part.",
        argument_default=argparse.SUPPRESS,
    )
    folder: dict[str, Any] = {"type": Path, "required": True, "metavar": "DIR"}
    parser.add_argument("--cutouts", **folder, help="folder of images with transparency")
    parser.add_argument("--backgrounds", **folder, help="folder of background images")
    parser.add_argument("--out", **{**folder, "type": output_folder}, help="folder to create")
    parser.add_argument(
        "--images",
        type=positive_integer,
        metavar="N",
        help=f"images to compose, in all parts together (default: {defaults.images})",
    )
    parser.add_argument(
        "--size",
        type=positive_integer,
        metavar="N",
        help=f"width and height of each image, in pixels (default: {scene.size})",
    )
    parser.add_argument(
        "--max-objects",
        type=positive_integer,
        metavar="N",
        help=f"largest number of objects in an image (default: {scene.max_objects})",
    )
    parser.add_argument(
        "--contour",
        type=non_negative_integer,
        metavar="N",
        help="width of the trimap's contour on each side of an object's edge, in pixels "
        f"(default: {scene.contour})",
    )
    add_seed(parser, "the same images", defaults.seed)
    parser.add_argument(
        "--name", help=f"name of the data set, for the cards of models (default: {defaults.name})"
    )
    parser.add_argument(
        "--licence", help=f"licence of the data set, for the cards of models (default: {defaults.licence})"
    )
    parser.set_defaults(func=compose)


def _given(arguments: argparse.Namespace, *names: str) -> dict[str, Any]:
    return {name: value for name, value in vars(arguments).items() if name in names}


def _print_counts(out: Path, counts: dict[str, int]) -> int:
    print(f"{out}: " + ", ".join(f"{count:,} to {part}" for part, count in counts.items()))
    return 0
