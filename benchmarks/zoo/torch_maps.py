"""An architecture in torch: the tensor that a file explains, and its Grad-CAM in both precisions."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import nn

from zoo.images import images
from zoo.networks import fed
from zoo.places import located
from zoo.recording import Recording, matching, record
from zoo.references import Arrangement, arrangements, gradcam, joined_gradcam, own_grid


@dataclass(frozen=True)
class TorchMaps:
    """Grad-CAM of one tensor, [images, classes, height, width]: in double precision, and in float32.

    `located` is the result of `places.located`, (0, 0) if that was not tried. `bypass` is that of
    `Recording.bypass` for the predicted class.
    """

    arrangement: str
    double: NDArray[np.float64]
    single: NDArray[np.float64]
    located: tuple[int, int]
    bypass: float

    @property
    def noise(self) -> float:
        """The largest difference between the precisions: the noise of the network itself."""
        return float(np.abs(self.single - self.double).max())


class TorchNetwork:
    """A network of torch on two images, and the classes to explain. Maps are kept in a folder."""

    def __init__(self, model: nn.Module, side: int, folder: Path) -> None:
        self._model, self._folder, self.side = model, folder, side
        self.pixels = images(2, side, seed=7)
        self._first = record(model, fed(self.pixels[:1]))
        ranked = self._first.scores[0].argsort(descending=True)
        # The predicted class, one in the middle, and an arbitrary one.
        self.classes = [int(ranked[0]), int(ranked[len(ranked) // 2]), 3]

    def probabilities(self) -> NDArray[np.float32]:
        """Return the softmax of the scores of the first image, [1, classes]."""
        softmax: NDArray[np.float32] = self._first.scores.detach().softmax(1).numpy()
        return softmax

    def same_tensors(self, value: NDArray[np.float32]) -> list[int]:
        """Return the indices of the tensors with the numbers of `value`, a tensor for the first image."""
        return list(matching(self._first, value))

    def shape(self, index: int) -> tuple[int, ...]:
        """Return the shape of a tensor for one image."""
        return tuple(self._first.tensors[index].shape)

    def maps(self, index: int, height: int, width: int) -> list[TorchMaps]:
        """Return the maps of a tensor for each known arrangement of its numbers as height × width places."""
        return [self._kept(index, form) for form in arrangements(self.shape(index), height, width)]

    def joined_maps(self, indices: Sequence[int], height: int, width: int) -> TorchMaps | None:
        """Return the map of several tensors that hold the evidence together, None if one has no known grid.

        Each tensor is interpolated linearly to height × width places. A channel's weight is the sum of its
        gradient over its own grid.
        """
        forms = [own_grid(self.shape(index)) for index in indices]
        known = [form for form in forms if form is not None]
        if len(known) < len(indices):
            return None
        parts = list(zip(indices, known, strict=True))

        def maps(recordings: Sequence[Recording]) -> NDArray[np.float64]:
            return np.stack(
                [
                    np.stack(
                        [joined_gradcam(each, parts, number, (height, width)) for number in self.classes]
                    )
                    for each in recordings
                ]
            )

        bypass = self._doubles[0].bypass(indices, self.classes[0])
        return TorchMaps("joined", maps(self._doubles), maps(self._singles), (0, 0), bypass)

    def _kept(self, index: int, form: Arrangement) -> TorchMaps:
        file = self._folder / f"maps-{index}-{form.form}-{form.height}x{form.width}.npz"
        if not file.exists():
            near, tried = located(self._model, self.pixels[:1], index, form)
            np.savez(
                file,
                double=self._gradcams(self._doubles, index, form),
                single=self._gradcams(self._singles, index, form),
                located=np.array([near, tried]),
                bypass=self._doubles[0].bypass([index], self.classes[0]),
            )
        kept = np.load(file)
        near, tried = map(int, kept["located"])
        return TorchMaps(form.form, kept["double"], kept["single"], (near, tried), float(kept["bypass"]))

    @cached_property
    def _singles(self) -> list[Recording]:
        return [self._first, record(self._model, fed(self.pixels[1:]))]

    @cached_property
    def _doubles(self) -> list[Recording]:
        double = copy.deepcopy(self._model).double()
        return [record(double, fed(image[None]).double()) for image in self.pixels]

    def _gradcams(
        self, recordings: list[Recording], index: int, arrangement: Arrangement
    ) -> NDArray[np.float64]:
        return np.stack(
            [
                np.stack([gradcam(each, index, arrangement, number) for number in self.classes])
                for each in recordings
            ]
        )
