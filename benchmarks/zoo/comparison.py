"""The heatmaps of one exported file compared with torch's autograd."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from spyglass_contract.errors import SpyglassError
from zoo.adopted import AdoptedModel, adopted
from zoo.exports import Exporter
from zoo.torch_maps import TorchMaps, TorchNetwork

Result = Literal["exact", "within noise", "differs", "unmatched", "refused", "not run", "crashed"]

# Largest difference of two maps in [0, 1] that counts as exact.
EXACT = 1e-4
# A map may differ from the one in double precision by this many times what torch's own in float32 does.
NOISE_FACTOR = 5.0
_COST_SECONDS = 1.0


@dataclass(frozen=True)
class Comparison:
    """What was found for one exported file.

    `difference` is the largest one between the file's maps and those of torch in double precision, `noise`
    that of torch's own maps in float32. `size` is that of the map. `located` says how many of how many cells
    lie where the image says, see `places`. `bypass` is the part of the score's gradient that does not pass
    through the tensor, and should be 0. `score_difference` is that of the probabilities.

    `batch_difference` is between maps of two images at once and alone, None if the file takes one image at a
    time. `classes_difference` is between maps of three classes at once and alone. `plain_ms` and
    `explained_ms` are the processor time of an inference.
    """

    key: str
    exporter: Exporter
    result: Result
    why: str = ""
    layer: str = ""
    size: tuple[int, int] | None = None
    arrangement: str = ""
    difference: float | None = None
    noise: float | None = None
    located: tuple[int, int] | None = None
    bypass: float | None = None
    zero_maps: int = 0
    score_difference: float | None = None
    batch_difference: float | None = None
    classes_difference: float | None = None
    plain_ms: float | None = None
    explained_ms: float | None = None


def compare(network: TorchNetwork, key: str, exporter: Exporter, file: Path) -> Comparison:
    """Adopt an exported file and compare its heatmaps."""
    try:
        model = adopted(file, key, network.side)
    except SpyglassError as error:
        return Comparison(key, exporter, "refused", error.message)
    maps = np.stack(
        [
            np.concatenate([model.heatmaps(image[None], [each]) for each in network.classes])
            for image in network.pixels
        ]
    )
    plain, explained = model.cost(network.pixels[:1], _COST_SECONDS)
    height, width = maps.shape[-2:]
    found = Comparison(
        key,
        exporter,
        "unmatched",
        layer=model.card.explained_layer,
        size=(height, width),
        zero_maps=int((maps.max((2, 3)) == 0).sum()),
        score_difference=_largest(model.probabilities(network.pixels[:1]) - network.probabilities()),
        batch_difference=_batch_at_once(network, model, maps) if model.takes_batches else None,
        classes_difference=_largest(model.heatmaps(network.pixels[:1], network.classes) - maps[0]),
        plain_ms=plain,
        explained_ms=explained,
    )
    values = [model.tensor(name, network.pixels[:1]) for name in found.layer.split(" + ")]
    return _judged(network, found, maps, values)


def judgement(difference: float, noise: float) -> Result:
    """Return what a difference means, if torch's own map in float32 differs by `noise`."""
    if difference <= EXACT:
        return "exact"
    return "within noise" if difference <= NOISE_FACTOR * noise else "differs"


def _judged(
    network: TorchNetwork,
    found: Comparison,
    maps: NDArray[np.float32],
    explained: Sequence[NDArray[np.float32] | None],
) -> Comparison:
    same: list[list[int]] = []
    for value in explained:
        if value is None:
            return replace(found, why="the file has no such tensor")
        same.append(network.same_tensors(value))
        if not same[-1]:
            return replace(found, why=f"torch computes no such tensor {list(value.shape)}")
    height, width = maps.shape[-2:]
    if len(same) == 1:
        known = _nearest(network, same[0], maps)
    else:
        known = network.joined_maps([each[0] for each in same], height, width)
    if known is None:
        shape = list(network.shape(same[0][0]))
        return replace(found, why=f"no known arrangement of {shape} as {height} × {width} places")
    difference = _largest(maps - known.double)
    return replace(
        found,
        result=judgement(difference, known.noise),
        arrangement=known.arrangement,
        difference=difference,
        noise=known.noise,
        located=known.located,
        bypass=known.bypass,
    )


def _nearest(network: TorchNetwork, same: Sequence[int], maps: NDArray[np.float32]) -> TorchMaps | None:
    """The nearest maps of tensors that hold the same numbers.

    Such tensors are copies of each other, or operations that change no number, such as the ReLU of a sum of
    two ReLUs. Their gradients may differ, where both of these are 0.
    """
    height, width = maps.shape[-2:]
    nearest: TorchMaps | None = None
    for index in same:
        for known in network.maps(index, height, width):
            if nearest is None or _largest(maps - known.double) < _largest(maps - nearest.double):
                nearest = known
        if nearest is not None and _largest(maps - nearest.double) <= EXACT:
            break
    return nearest


def _batch_at_once(network: TorchNetwork, model: AdoptedModel, maps: NDArray[np.float32]) -> float:
    one, other, _ = network.classes
    both = model.heatmaps(network.pixels, [one, other])
    return _largest(both - np.stack([maps[0, 0], maps[1, 1]]))


def _largest(difference: NDArray[np.floating]) -> float:
    return float(np.abs(difference).max())
