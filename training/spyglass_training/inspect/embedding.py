"""A map of a data set in two dimensions, by the input of the network's last layer, coloured by class.

L. van der Maaten and G. Hinton, Visualizing Data using t-SNE (2008): images with similar features lie near
each other; distances between clusters and their sizes mean little.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.offsetbox import AnnotationBbox, OffsetImage
from numpy.typing import NDArray
from sklearn.manifold import TSNE

from spyglass_contract.errors import FailedPrecondition, InvalidInput
from spyglass_training.datasets.dataset import Split
from spyglass_training.inspect.flat import flatten
from spyglass_training.inspect.sheets import as_rgb

_BATCH = 64
# The longer side of a thumbnail, in points of a drawing that is 720 wide, and the minimum distance of two
# thumbnails, as a fraction of the drawing.
_THUMBNAIL, _APART = 22, 0.038
# Perplexity of t-SNE: the approximate number of neighbours of each image.
_PERPLEXITY = 30.0

Color = tuple[float, float, float, float]


@dataclass(frozen=True)
class EmbeddingOptions:
    """The options of an embedding."""

    # Number of images, drawn at random from the split.
    images: int = 1000
    thumbnails: bool = False
    # The layer whose output is embedded; if empty, the input of the last layer with weights.
    layer: str = ""
    seed: int = 0


def draw_embedding(
    model: keras.Model, split: Split, class_names: Sequence[str], options: EmbeddingOptions, path: Path
) -> int:
    """Write the drawing as a PNG; return how many images it shows.

    Raises NotFound if there is no such layer, InvalidInput if there are too few images, and
    FailedPrecondition if the labels are masks.
    """
    if split.labels.ndim != 1:
        raise FailedPrecondition("an embedding needs a label for each image; this data set has masks")
    chosen = np.random.default_rng(options.seed).permutation(len(split))[: options.images]
    shown = split.take(chosen)
    places = embed(features(model, shown.pixels, options.layer), options.seed)
    figure = Figure(figsize=(10, 9), layout="constrained")
    axes = figure.subplots()
    _draw(axes, places, shown, class_names, thumbnails=options.thumbnails)
    axes.set_title(f"{len(shown):,} images by the features of {model.name} (t-SNE)")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, format="png", dpi=120)
    return len(shown)


def features(model: keras.Model, pixels: NDArray[np.uint8], layer: str = "") -> NDArray[np.float32]:
    """Return a layer's output for each image, float32 [count, features]; maps are averaged over positions."""
    network = flatten(model)
    if layer:
        tensor = network.step(layer).output
    else:
        tensor = next(step for step in reversed(network.steps) if step.layer.weights).inputs[0]
    found = network.model_to(tensor).predict(pixels.astype(np.float32), batch_size=_BATCH, verbose=0)
    array = np.asarray(found)
    return array.mean(axis=(1, 2)) if array.ndim == 4 else array.reshape(len(array), -1)


def embed(values: NDArray[np.float32], seed: int) -> NDArray[np.float32]:
    """Return positions in the plane, float32 [count, 2], of [count, features]. Raises InvalidInput."""
    if len(values) < 5:
        raise InvalidInput(f"an embedding needs at least 5 images, not {len(values)}", field="count")
    perplexity = min(_PERPLEXITY, (len(values) - 1) / 3)
    places = TSNE(init="pca", perplexity=perplexity, random_state=seed).fit_transform(values)
    return np.asarray(places, np.float32)


def _draw(
    axes: Axes, places: NDArray[np.float32], shown: Split, class_names: Sequence[str], *, thumbnails: bool
) -> None:
    colors = _colors(len(class_names))
    for index, name in enumerate(class_names):
        members = places[shown.labels == index]
        if len(members):
            axes.scatter(
                members[:, 0], members[:, 1], s=14, color=colors[index], label=name, alpha=0.75, linewidths=0
            )
    if thumbnails:
        for index in _apart(places):
            _place_image(axes, places[index], shown.pixels[index], colors[shown.labels[index]])
    axes.set(xticks=[], yticks=[])
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, markerscale=2)


def _colors(count: int) -> list[Color]:
    few = count <= 10
    return [colormaps["tab10"](index) if few else colormaps["turbo"](index / count) for index in range(count)]


def _apart(places: NDArray[np.float32]) -> list[int]:
    """Return the images whose thumbnails do not overlap."""
    extent = np.ptp(places, axis=0)
    spots = places / np.maximum(extent, 1e-9)
    kept: list[int] = []
    for index, spot in enumerate(spots):
        if all(np.abs(spots[other] - spot).max() > _APART for other in kept):
            kept.append(index)
    return kept


def _place_image(axes: Axes, place: NDArray[np.float32], image: NDArray[np.uint8], color: Color) -> None:
    thumbnail = OffsetImage(as_rgb(image), zoom=_THUMBNAIL / max(image.shape[:2]))
    frame = {"edgecolor": color, "linewidth": 1.5}
    axes.add_artist(AnnotationBbox(thumbnail, (place[0], place[1]), pad=0.1, bboxprops=frame))
