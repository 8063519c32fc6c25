"""The mask of an image from a network's probabilities, without building them at the image's size.

The probabilities are interpolated bilinearly and the most probable class is taken, so borders between classes
are smooth. A pixel between four cells is a convex combination of them: if the four have the same most
probable class, the pixel has it, too. So only the pixels along borders are interpolated.
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
    """The most probable class of every pixel, with the size and the mean score of each class."""

    # uint8 [height, width]: the index of the class, or VOID.
    mask: NDArray[np.uint8]
    # int64 [classes]: the number of pixels.
    pixels: NDArray[np.int64]
    # float64 [classes]: the mean probability of a class over its own pixels, 0 if it has none.
    mean_scores: NDArray[np.float64]


def mask_of_image(probabilities: NDArray[np.float32], box: Box, width: int, height: int) -> ClassMask:
    """Return the mask of an image from float32 [rows, columns, classes] in [0, 1], at most 255 classes.

    The probabilities cover `box` of the image's plane evenly, in the image's pixels: see
    `geometry.input_box`. Pixels outside the box are VOID. Of equally probable classes the first is taken.

    Takes memory for two copies of the probabilities, 100 bytes for each of the network's cells and for each
    column of the image, and 8 MB, in addition to the mask with one byte for each pixel.
    """
    left, top, right, bottom = box
    across = axis(probabilities.shape[1], left, right, width)
    down = axis(probabilities.shape[0], top, bottom, height)
    upsampling = _Upsampling(probabilities, across, down)
    mask = np.full((height, width), VOID, np.uint8)
    upsampling.draw(mask[down.start : down.stop, across.start : across.stop])
    return ClassMask(mask, upsampling.pixels, _means(upsampling.scores, upsampling.pixels))


def mask_of_network(probabilities: NDArray[np.float32]) -> ClassMask:
    """Return the mask at the size of the network's output, from float32 [rows, columns, classes]."""
    classes = probabilities.shape[2]
    mask = probabilities.argmax(axis=2).astype(np.uint8)
    pixels = np.bincount(mask.ravel(), minlength=classes)
    scores = _sums(mask, probabilities.max(axis=2), classes)
    return ClassMask(mask, pixels, _means(scores, pixels))


def _means(scores: NDArray[np.float64], pixels: NDArray[np.int64]) -> NDArray[np.float64]:
    return np.divide(scores, pixels, out=np.zeros_like(scores), where=pixels > 0)


def _sums(labels: NDArray[np.uint8], values: NDArray[np.floating], classes: int) -> NDArray[np.float64]:
    """Return the sum of the values of each label, float64 [classes]."""
    return np.asarray(np.bincount(labels.ravel(), values.ravel(), classes), np.float64)


class _Upsampling:
    """The state while one mask is drawn, and the sums for its classes."""

    def __init__(self, probabilities: NDArray[np.float32], across: Axis, down: Axis) -> None:
        self._across, self._down = across, down
        # Class by class, so that the values of one class are adjacent in memory.
        self._planes = np.ascontiguousarray(probabilities.transpose(2, 0, 1))
        self._best = probabilities.argmax(axis=2).astype(np.uint8)
        self._mixed = _differ(self._best)
        self.pixels, self.scores = self._of_uniform_cells()

    def draw(self, mask: NDArray[np.uint8]) -> None:
        """Fill the part of the mask that the box covers, and add the pixels along borders to the sums."""
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
        """Draw the pixels of some columns that lie between `mixed` cells, and add them to the sums.

        `rows.above` are indices of the rows of `mixed`.
        """
        labels, scores = self._most_probable(rows, columns)
        if len(mixed) == 1:
            # All rows lie between the same two rows of cells: every pixel of these columns is mixed.
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
        """Return the class of each pixel and its probability: [pixels, columns]."""
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
        """Count the pixels between four cells of one class, and sum its probability over them, by class.

        The sum of interpolated values is the sum of the four cells, each times the sum of its weights.
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
        """Return the probability of each cell's class in the cell `down` below and `right` after it."""
        rows = np.minimum(np.arange(self._down.cells) + down, self._down.cells - 1)
        columns = np.minimum(np.arange(self._across.cells) + right, self._across.cells - 1)
        scores: NDArray[np.float32] = self._planes[self._best, rows[:, np.newaxis], columns]
        return scores


def _differ(labels: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return where a cell, the next one, and the two below them are not all of one class."""
    padded = np.pad(labels, ((0, 1), (0, 1)), "edge")
    differ: NDArray[np.bool_] = (
        (padded[:-1, 1:] != labels) | (padded[1:, :-1] != labels) | (padded[1:, 1:] != labels)
    )
    return differ


def _possible(cells: NDArray[np.float32], columns: NDArray[np.intp]) -> NDArray[np.uint8]:
    """Return the classes, ascending, that can be the most probable between cells [classes, rows, columns].

    A class cannot be if another one has a higher probability in every cell than this one has in any.
    `columns` are the columns to examine, each with the one after it.
    """
    highest, lowest = cells.max(axis=1), cells.min(axis=1)
    highest[:, :-1] = np.maximum(highest[:, :-1], highest[:, 1:])
    lowest[:, :-1] = np.minimum(lowest[:, :-1], lowest[:, 1:])
    possible = highest >= lowest.max(axis=0)
    return np.flatnonzero(possible[:, columns].any(axis=1)).astype(np.uint8)
