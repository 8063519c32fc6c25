"""The pointing game: an object is pasted on backgrounds, and the heatmap should be on the object.

For each size of the object this prints the mass of the heatmap in the object's box, the mass that an even map
has there, and how often the hottest pixel is in the box.

    python benchmarks/pointing_game.py --cutout elephant.png --backgrounds photographs/ \
        --class "African elephant" --class "Indian elephant" [--model imagenet | --file model.onnx]
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from spyglass_contract.heatmaps.overlay import map_to_size
from spyglass_export.checking.network import ExplainedNetwork
from spyglass_export.checking.pointing_game import Composed, compose, hits, mass_inside
from spyglass_server.engine.models.bundled import bundled_models
from spyglass_server.engine.models.model_files import model_files

SHARES = (0.5, 0.6, 0.7, 0.8)
# Mass in the box that a good heatmap reaches.
GOOD_MASS = 0.7


@dataclass(frozen=True)
class Played:
    """One image: mass in the box, area of the box, hit or not, and whether the class is the most probable."""

    mass: float
    box: float
    hit: bool
    named: bool


def main() -> None:
    """Print a table with a row for each size."""
    parser = _parser()
    arguments = parser.parse_args()
    if not arguments.cutout.is_file():
        parser.error(f"--cutout {arguments.cutout} does not exist; give a PNG with alpha")
    files = sorted(arguments.backgrounds.glob("*.jpg"))
    if not files:
        parser.error(f"--backgrounds {arguments.backgrounds} has no files *.jpg")
    network = ExplainedNetwork(arguments.file or _bundled(arguments.model))
    names = list(network.card.class_names)
    if unknown := [name for name in arguments.classes if name not in names]:
        parser.error(f"{network.card.name} has no class {', '.join(unknown)}")
    classes = [names.index(name) for name in arguments.classes]
    cutout = Image.open(arguments.cutout)
    if "A" not in cutout.getbands():
        parser.error(f"--cutout {arguments.cutout} must have an alpha channel, which marks the object")
    print("| object's side | images | named | hits | mass in the box | mass of an even map | 70 % or more |")
    print("|---|---|---|---|---|---|---|")
    for share in arguments.shares:
        random = np.random.default_rng(arguments.seed)
        chosen = random.choice(len(files), arguments.images, replace=len(files) < arguments.images)
        composed = (
            compose(cutout, Image.open(files[index]), network.card.input.height, share, random)
            for index in chosen
        )
        _print(share, [_play(network, each, classes) for each in composed])


def _play(network: ExplainedNetwork, composed: Composed, classes: Sequence[int]) -> Played:
    """Explain the most probable of the classes."""
    probabilities = network.probabilities(composed.pixels[np.newaxis])[0]
    best = max(classes, key=lambda index: float(probabilities[index]))
    side = len(composed.pixels)
    heat = map_to_size(network.heatmap(composed.pixels, best), side, side)
    named = int(probabilities.argmax()) in classes
    return Played(mass_inside(heat, composed.box), composed.box_share, hits(heat, composed.box), named)


def _print(share: float, played: Sequence[Played]) -> None:
    named, hit = (sum(getattr(each, name) for each in played) for name in ("named", "hit"))
    mass, box = (float(np.mean([getattr(each, name) for each in played])) for name in ("mass", "box"))
    enough = sum(each.mass >= GOOD_MASS for each in played)
    print(f"| {share:.0%} | {len(played)} | {named} | {hit} | {mass:.1%} | {box:.1%} | {enough} |")


def _bundled(name: str) -> Path:
    (file,) = (file for file in model_files(bundled_models()) if file.parent.parent.name == name)
    return file


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Play the pointing game with a heatmap.")
    parser.add_argument("--cutout", type=Path, required=True, help="object: a PNG with alpha")
    parser.add_argument("--backgrounds", type=Path, required=True, help="folder of JPEG files")
    parser.add_argument(
        "--class",
        dest="classes",
        action="append",
        required=True,
        help="class of the object; of several classes the most probable one is explained",
    )
    parser.add_argument("--model", default="imagenet", help="name of a bundled model")
    parser.add_argument("--file", type=Path, help="model file to use instead of a bundled model")
    parser.add_argument(
        "--shares",
        type=float,
        nargs="+",
        default=SHARES,
        help="sizes of the object as fractions of the image's side",
    )
    parser.add_argument("--images", type=int, default=20, help="number of images for each size")
    parser.add_argument("--seed", type=int, default=0)
    return parser


if __name__ == "__main__":
    main()
