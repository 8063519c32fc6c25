"""The measurements of a check: curves for each image, and heatmaps after weight randomisation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import onnx
from numpy.typing import NDArray

from spyglass_contract.heatmaps.overlay import map_to_size
from spyglass_export.checking.baselines import by_chance, centre
from spyglass_export.checking.curves import ClassProbability, Curves, curves, mean_curves
from spyglass_export.checking.network import ExplainedNetwork
from spyglass_export.checking.randomisation import randomised
from spyglass_export.checking.similarity import rank_correlation, structural_similarity

HEATMAP, CHANCE, CENTRE = "heatmap", "chance", "centre"
BASELINES = (CHANCE, CENTRE)

# Number of noise maps for each image. Their curves are averaged, because a single one may be good by chance.
_DRAWS = 4

Maps = list[NDArray[np.float32]]


@dataclass(frozen=True)
class Subject:
    """An image in the form of the network's input, with its name in the report."""

    name: str
    # uint8 [height, width, channels].
    pixels: NDArray[np.uint8]


@dataclass(frozen=True)
class CheckedImage:
    """One image's heatmap for the predicted class, and the curves of the heatmap and its baselines."""

    subject: Subject
    class_index: int
    probability: float
    # float32, of the feature map's size, in [0, 1].
    heatmap: NDArray[np.float32]
    # By the name of the map that orders the pixels.
    curves: dict[str, Curves]


@dataclass(frozen=True)
class Stage:
    """The similarity of each image's heatmap before and after randomisation of the last layers.

    A similarity is None if it is undefined: one of the maps is the same everywhere, or not finite.
    """

    layers: int
    lowest: str
    rank_correlations: list[float | None]
    structural_similarities: list[float | None]
    maps: Maps


def check_curves(
    network: ExplainedNetwork, subjects: Sequence[Subject], steps: int, seed: int
) -> Iterator[CheckedImage]:
    """Yield each image with its deletion and insertion curves of `steps` steps.

    The noise maps depend on `seed` and on the image's position.
    """
    for number, subject in enumerate(subjects):
        yield _check_image(network, subject, steps, np.random.default_rng([seed, number]))


def check_randomised(model: onnx.ModelProto, checked: Sequence[CheckedImage], seed: int) -> Iterator[Stage]:
    """Yield the heatmaps of the same classes after each stage of randomisation, from the last layer on."""
    for changed in randomised(model, seed):
        network = ExplainedNetwork(changed.file)
        maps = [network.heatmap(each.subject.pixels, each.class_index) for each in checked]
        pairs = list(zip(checked, maps, strict=True))
        yield Stage(
            changed.layers,
            changed.lowest,
            [rank_correlation(each.heatmap, found) for each, found in pairs],
            [_similarity(each, found) for each, found in pairs],
            maps,
        )


def _check_image(
    network: ExplainedNetwork, subject: Subject, steps: int, random: np.random.Generator
) -> CheckedImage:
    probabilities = network.probabilities(subject.pixels[np.newaxis])[0]
    predicted = int(probabilities.argmax())
    heatmap = network.heatmap(subject.pixels, predicted)
    rows, columns = heatmap.shape
    maps: dict[str, Maps] = {
        HEATMAP: [heatmap],
        CHANCE: [by_chance(rows, columns, random) for _ in range(_DRAWS)],
        CENTRE: [centre(rows, columns)],
    }
    probability: ClassProbability = partial(_probability, network, predicted)
    found = {
        name: mean_curves([curves(subject.pixels, values, probability, steps, random) for values in several])
        for name, several in maps.items()
    }
    return CheckedImage(subject, predicted, float(probabilities[predicted]), heatmap, found)


def _probability(
    network: ExplainedNetwork, class_index: int, pixels: NDArray[np.uint8]
) -> NDArray[np.float32]:
    return network.probabilities(pixels)[:, class_index]


def _similarity(checked: CheckedImage, found: NDArray[np.float32]) -> float | None:
    """SSIM of the maps as they are drawn, at the size of the network's input."""
    height, width, _ = checked.subject.pixels.shape
    return structural_similarity(*(map_to_size(each, width, height) for each in (checked.heatmap, found)))
