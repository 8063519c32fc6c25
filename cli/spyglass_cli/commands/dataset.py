"""`spyglass dataset`: data sets cut from large ones, and composed ones."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from spyglass_cli.flags.types import count, count_or_none, folder_to_fill, seed

# Of each class, as in the book that `make_subset` names.
_SUBSET = {"train": 1000, "validation": 500, "test": 1000}


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command with its own two."""
    parser = subparsers.add_parser("dataset", help="make a data set to train on")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_make_subset(commands)
    _add_compose(commands)


def make_subset(arguments: argparse.Namespace) -> int:
    """Copies, and says how many. The exit code, 0; raises SpyglassError."""
    from spyglass_training.datasets.subset import make_subset

    sizes = {part: getattr(arguments, part) for part in _SUBSET}
    return _tell(arguments.out, make_subset(arguments.source, arguments.out, sizes))


def compose(arguments: argparse.Namespace) -> int:
    """Composes, and says how many. The exit code, 0; raises SpyglassError."""
    from spyglass_training.datasets.composition.folder import CompositionOptions, compose_folder
    from spyglass_training.datasets.composition.scene import SceneOptions

    scene = SceneOptions(**_given(arguments, "size", "max_objects", "contour"))
    options = CompositionOptions(scene=scene, **_given(arguments, "images", "seed", "name", "licence"))
    counts = compose_folder(arguments.cutouts, arguments.backgrounds, arguments.out, options)
    return _tell(arguments.out, counts)


def _add_make_subset(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "make-subset",
        help="cut train, validation and test out of a large collection",
        description="Copies so many images of each class, in the order of their numbers.",
    )
    parser.add_argument(
        "source", type=Path, metavar="DIR", help="images as CLASS.NUMBER.jpg, or a folder for each class"
    )
    parser.add_argument("--out", type=folder_to_fill, required=True, metavar="DIR", help="the folder to make")
    for part, size in _SUBSET.items():
        parser.add_argument(
            f"--{part}", type=count, default=size, metavar="N", help="of each class (default: %(default)s)"
        )
    parser.set_defaults(func=make_subset)


def _add_compose(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """What is not given is left to the defaults of `CompositionOptions` and `SceneOptions`."""
    parser = commands.add_parser(
        "compose",
        help="paste cut-outs on backgrounds, to train segmentation",
        description="Composes images with exact trimaps, in the layout of Oxford-IIIT Pet. Objects and "
        "backgrounds that are tested on are never trained on.",
        argument_default=argparse.SUPPRESS,
    )
    folder: dict[str, Any] = {"type": Path, "required": True, "metavar": "DIR"}
    parser.add_argument("--cutouts", **folder, help="images with transparency, or folders of them")
    parser.add_argument("--backgrounds", **folder, help="any images")
    parser.add_argument("--out", **{**folder, "type": folder_to_fill}, help="the folder to make")
    parser.add_argument("--images", type=count, metavar="N", help="in all parts together")
    parser.add_argument("--size", type=count, metavar="N", help="width and height in pixels")
    parser.add_argument("--max-objects", type=count, metavar="N", help="in an image")
    parser.add_argument(
        "--contour",
        type=count_or_none,
        metavar="N",
        help="pixels on either side of an edge that are its contour",
    )
    parser.add_argument("--seed", type=seed, metavar="N", help="the same seed makes the same images")
    parser.add_argument("--name", help="of the data, for the card of a model")
    parser.add_argument("--licence", help="of the data, for the card of a model")
    parser.set_defaults(func=compose)


def _given(arguments: argparse.Namespace, *names: str) -> dict[str, Any]:
    return {name: value for name, value in vars(arguments).items() if name in names}


def _tell(out: Path, counts: dict[str, int]) -> int:
    print(f"{out}: " + ", ".join(f"{count:,} to {part}" for part, count in counts.items()))
    return 0
