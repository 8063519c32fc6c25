"""A segmentation network's probabilities to the mask of an image, without building them at its size.

The probabilities are interpolated bilinearly and the most probable class is taken, so that borders between
classes are smooth. What lies between four cells is a convex combination of them: where all four have the same
most probable class, so has everything between them. Only along the borders is there anything to interpolate.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spyglass_contract.images.geometry import Box
from spyglass_contract.masks.interpolation import Axis, Rows, axis, interpolated
from spyglass_contract.masks.placement import VOID


@dataclass(frozen=True)
class ClassMask:
    """The most probable class of every pixel, and what there is of each class."""

    # uint8 [height, width]: the index of the class, or VOID.
    mask: NDArray[np.uint8]
    # int64 [classes].
    pixels: NDArray[np.int64]
    # float64 [classes]: the mean probability of a class over its own pixels, 0 where it has none.
    mean_scores: NDArray[np.float64]


def mask_of_image(probabilities: NDArray[np.float32], box: Box, width: int, height: int) -> ClassMask:
    """The mask, uint8 [height, width], of an image from float32 [rows, columns, classes] in [0, 1].

    The probabilities cover `box` of the image's plane evenly, in the image's pixels: see
    `geometry.input_box`. Of equally probable classes the first is taken; there are at most 255.

    Beside the mask, a byte for each pixel, it takes two copies of the probabilities, 100 bytes for each of
    the network's cells and for each column of the image, and 8 MB: nothing else grows with the image.
    """
    left, top, right, bottom = box
    across = axis(probabilities.shape[1], left, right, width)
    down = axis(probabilities.shape[0], top, bottom, height)
    upsampling = _Upsampling(probabilities, across, down)
    mask = np.full((height, width), VOID, np.uint8)
    upsampling.draw(mask[down.start : down.stop, across.start : across.stop])
    return ClassMask(mask, upsampling.pixels, _means(upsampling.scores, upsampling.pixels))


def mask_of_network(probabilities: NDArray[np.float32]) -> ClassMask:
    """The mask of the network's own size, uint8 [rows, columns], from float32 [rows, columns, classes]."""
    classes = probabilities.shape[2]
    mask = probabilities.argmax(axis=2).astype(np.uint8)
    pixels = np.bincount(mask.ravel(), minlength=classes)
    scores = _sums(mask, probabilities.max(axis=2), classes)
    return ClassMask(mask, pixels, _means(scores, pixels))


def _means(scores: NDArray[np.float64], pixels: NDArray[np.int64]) -> NDArray[np.float64]:
    return np.divide(scores, pixels, out=np.zeros_like(scores), where=pixels > 0)


def _sums(labels: NDArray[np.uint8], values: NDArray[np.floating], classes: int) -> NDArray[np.float64]:
    """The sum of the values of each label, float64 [classes]."""
    return np.asarray(np.bincount(labels.ravel(), values.ravel(), classes), np.float64)


class _Upsampling:
    """One mask in the making, and the sums for its classes."""

    def __init__(self, probabilities: NDArray[np.float32], across: Axis, down: Axis) -> None:
        self._across, self._down = across, down
        # One class after the other: what is compared lies side by side.
        self._planes = np.ascontiguousarray(probabilities.transpose(2, 0, 1))
        self._best = probabilities.argmax(axis=2).astype(np.uint8)
        self._mixed = _differ(self._best)
        self.pixels, self.scores = self._of_uniform_cells()

    def draw(self, mask: NDArray[np.uint8]) -> None:
        """Fills the part of the mask that the network saw, and adds what lies along borders to the sums."""
        for strip in self._down.strips(len(self._across.lower)):
            rows = self._down.rows(strip)
            mask[strip] = self._best[rows.cells][:, self._across.lower][rows.above]
            mixed = self._mixed[rows.cells[: rows.above[-1] + 1]]
            columns = np.flatnonzero(np.any(mixed, axis=0)[self._across.lower])
            if len(columns):
                self._draw_borders(mask[strip], rows, columns, mixed)

    def _draw_borders(
        self, mask: NDArray[np.uint8], rows: Rows, columns: NDArray[np.intp], mixed: NDArray[np.bool_]
    ) -> None:
        """Draws those pixels of some columns that lie between `mixed` cells, and adds them to the sums.

        `mixed` has the rows of cells that `rows.above` counts.
        """
        labels, scores = self._most_probable(rows, columns)
        if len(mixed) == 1:
            # Between the same two rows of cells these are all of them.
            mask[:, columns] = labels
        else:
            which = mixed[:, self._across.lower[columns]][rows.above]
            labels, scores = labels[which], scores[which]
            drawn, places = np.nonzero(which)
            mask[drawn, columns[places]] = labels
        self.pixels += np.bincount(labels.ravel(), minlength=len(self.pixels))
        self.scores += _sums(labels, scores, len(self.scores))

    def _most_probable(
        self, rows: Rows, columns: NDArray[np.intp]
    ) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        """The class of each pixel, and how probable it is: [pixels, columns]."""
        cells = self._planes[:, rows.cells[0] : rows.cells[-1] + 1]
        classes = _possible(cells, self._across.lower[columns])
        scores = interpolated(self._planes[classes[0]], rows, self._across, columns)
        labels = np.full(scores.shape, classes[0])
        for index in classes[1:]:
            challengers = interpolated(self._planes[index], rows, self._across, columns)
            np.copyto(labels, index, where=challengers > scores)
            np.maximum(scores, challengers, out=scores)
        return labels, scores

    def _of_uniform_cells(self) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """How many pixels lie between four cells of one class, and the sum of its probability over them.

        The sum over what is interpolated is the sum of the four cells, each by the sum of its weights.
        """
        left, right = self._across.weights_of_cells
        above, below = (weights[:, np.newaxis] for weights in self._down.weights_of_cells)
        pixels = (above + below) * (left + right)
        sums = above * left * self._score_of_best(0, 0) + above * right * self._score_of_best(0, 1)
        sums += below * left * self._score_of_best(1, 0) + below * right * self._score_of_best(1, 1)
        uniform, classes = ~self._mixed, len(self._planes)
        labels = self._best[uniform]
        counts = np.rint(_sums(labels, pixels[uniform], classes)).astype(np.int64)
        return counts, _sums(labels, sums[uniform], classes)

    def _score_of_best(self, down: int, right: int) -> NDArray[np.float32]:
        """How probable each cell's own class is in the cell that many below and to the right of it."""
        rows = np.minimum(np.arange(self._down.cells) + down, self._down.cells - 1)
        columns = np.minimum(np.arange(self._across.cells) + right, self._across.cells - 1)
        scores: NDArray[np.float32] = self._planes[self._best, rows[:, np.newaxis], columns]
        return scores


def _differ(labels: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Where a cell, the next one, and the two below them are not all of one class."""
    padded = np.pad(labels, ((0, 1), (0, 1)), "edge")
    differ: NDArray[np.bool_] = (
        (padded[:-1, 1:] != labels) | (padded[1:, :-1] != labels) | (padded[1:, 1:] != labels)
    )
    return differ


def _possible(cells: NDArray[np.float32], columns: NDArray[np.intp]) -> NDArray[np.uint8]:
    """The classes, ascending, that may be the most probable somewhere among float32 [classes, rows, columns].

    Between cells that is none which is less probable in all of them than another class is in any. `columns`
    are those that matter, each with the next one.
    """
    highest, lowest = cells.max(axis=1), cells.min(axis=1)
    highest[:, :-1] = np.maximum(highest[:, :-1], highest[:, 1:])
    lowest[:, :-1] = np.minimum(lowest[:, :-1], lowest[:, 1:])
    possible = highest >= lowest.max(axis=0)
    return np.flatnonzero(possible[:, columns].any(axis=1)).astype(np.uint8)
