"""The output of a segmentation network made into what a request asks for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from spyglass.v1.segment_pb2 import MASK_SIZE_AS_IMAGE
from spyglass_contract.heatmaps.overlay import grey_levels
from spyglass_contract.masks.colors import class_colors, hex_color
from spyglass_contract.masks.placement import VOID
from spyglass_contract.masks.probability_maps import encode_probability_map, probability_map_of_image
from spyglass_contract.masks.upsampling import ClassMask, mask_of_image, mask_of_network
from spyglass_server.domain import DrawnMask, Refinement, SegmentedClass, SoftMap
from spyglass_server.engine.targets import class_index
from spyglass_server.heatmaps.drawing import Canvas
from spyglass_server.masks.encoding import encoded
from spyglass_server.masks.refinements import KnownClass, known_classes, refined
from spyglass_server.masks.seen_cells import SeenCells
from spyglass_server.masks.styles import MaskStyle, check_reply_room

Segmented = tuple[DrawnMask, tuple[SegmentedClass, ...], SoftMap | None]
"""A mask, the classes in it, and the soft map where one is wanted."""


@dataclass(frozen=True)
class Segmenting:
    """What is wanted of one image by a model with classes of these names."""

    class_names: tuple[str, ...]
    style: MaskStyle
    known: tuple[KnownClass, ...]
    # The class of the soft map; None: there is none.
    soft: int | None

    @classmethod
    def of(
        cls,
        class_names: tuple[str, ...],
        style: MaskStyle,
        refine: Sequence[Refinement],
        soft: int | str | None,
    ) -> Segmenting:
        """Raises InvalidInput for a class that there is not, and LimitExceeded for too many refinements."""
        soft_index = None if soft is None else class_index(soft, class_names, "soft_")
        return cls(class_names, style, known_classes(refine, class_names), soft_index)

    def draw(self, probabilities: NDArray[np.float32], canvas: Canvas) -> Segmented:
        """What is wanted of float32 [rows, columns, classes] in [0, 1], for the image of `canvas`.

        What the network says of padding is left out: nothing of it reaches into the image. Raises
        LimitExceeded where a mask is too much for one reply.
        """
        seen = SeenCells.of(canvas.box, canvas.width, canvas.height, probabilities.shape[:2])
        given = refined(seen.taken_from(probabilities), self.known)
        found = self._mask(given, canvas, seen)
        soft = None if self.soft is None else self._soft_map(given[:, :, self.soft], self.soft, canvas, seen)
        mask = encoded(found.mask, self.style, canvas, self.class_names)
        check_reply_room(mask, soft)
        return mask, self._classes(found), soft

    def _mask(self, probabilities: NDArray[np.float32], canvas: Canvas, seen: SeenCells) -> ClassMask:
        if self.style.size == MASK_SIZE_AS_IMAGE:
            return mask_of_image(probabilities, seen.box, canvas.width, canvas.height)
        found = mask_of_network(probabilities)
        return replace(found, mask=seen.spread(found.mask, VOID))

    def _classes(self, found: ClassMask) -> tuple[SegmentedClass, ...]:
        total, colors = found.mask.size, class_colors(self.class_names)
        rows = zip(self.class_names, found.pixels.tolist(), found.mean_scores.tolist(), colors, strict=True)
        return tuple(
            SegmentedClass(index, name, pixels, pixels / total, score, hex_color(color))
            for index, (name, pixels, score, color) in enumerate(rows)
        )

    def _soft_map(self, values: NDArray[np.float32], index: int, canvas: Canvas, seen: SeenCells) -> SoftMap:
        if self.style.size == MASK_SIZE_AS_IMAGE:
            levels = probability_map_of_image(values, seen.box, canvas.width, canvas.height)
        else:
            levels = seen.spread(grey_levels(values), 0)
        height, width = levels.shape
        return SoftMap(index, height, width, encode_probability_map(levels))
