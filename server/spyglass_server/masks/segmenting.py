"""The output of a segmentation network to the mask, the classes and the probability map of a response."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from spyglass.v1.segment_pb2 import MASK_SIZE_AS_IMAGE, Mask, SegmentClass, SegmentRequest, SoftMap
from spyglass_contract.heatmaps.overlay import grey_levels
from spyglass_contract.masks.colors import class_colors, hex_color
from spyglass_contract.masks.placement import VOID
from spyglass_contract.masks.probability_maps import encode_probability_map, probability_map_of_image
from spyglass_contract.masks.upsampling import ClassMask, mask_of_image, mask_of_network
from spyglass_server.engine.canvas import Canvas
from spyglass_server.engine.classes import class_index, named_class
from spyglass_server.masks.encoding import MaskStyle, check_reply_size, encode
from spyglass_server.masks.refinements import KnownClass, known_classes, refined
from spyglass_server.masks.seen_cells import SeenCells


@dataclass(frozen=True)
class Segmented:
    """The mask, every class of the model by its index, and the probability map if requested."""

    mask: Mask
    classes: list[SegmentClass]
    soft: SoftMap | None


@dataclass(frozen=True)
class Segmenting:
    """The parts of a segment request that say what to make of the network's output."""

    class_names: tuple[str, ...]
    style: MaskStyle
    known: tuple[KnownClass, ...]
    # The class of the probability map; None: no map.
    soft: int | None

    @classmethod
    def from_request(cls, request: SegmentRequest, class_names: tuple[str, ...]) -> Segmenting:
        """Read a request to a model with classes of these names.

        Raises InvalidInput for an unknown class, format or size, and LimitExceeded for too many refinements.
        """
        soft = named_class(request, "soft")
        return cls(
            class_names,
            MaskStyle.from_request(request),
            known_classes(request.refine, class_names),
            None if soft is None else class_index(soft, class_names, "soft_"),
        )

    def draw(self, probabilities: NDArray[np.float32], canvas: Canvas) -> Segmented:
        """Return the mask of float32 [rows, columns, classes] in [0, 1] for the image of `canvas`.

        The output for the padding is cut off first, so that it does not reach into the image. Raises
        LimitExceeded if mask and probability map take more bytes than one response may have.
        """
        seen = SeenCells.of(canvas.box, canvas.width, canvas.height, probabilities.shape[:2])
        given = refined(seen.select(probabilities), self.known)
        found = self._mask(given, canvas, seen)
        soft = None if self.soft is None else self._soft_map(given[:, :, self.soft], self.soft, canvas, seen)
        mask = encode(found.mask, self.style, canvas, self.class_names)
        check_reply_size(mask, soft, self.style)
        return Segmented(mask, self._classes(found), soft)

    def _mask(self, probabilities: NDArray[np.float32], canvas: Canvas, seen: SeenCells) -> ClassMask:
        if self.style.size == MASK_SIZE_AS_IMAGE:
            return mask_of_image(probabilities, seen.box, canvas.width, canvas.height)
        found = mask_of_network(probabilities)
        return replace(found, mask=seen.spread(found.mask, VOID))

    def _classes(self, found: ClassMask) -> list[SegmentClass]:
        total, colors = found.mask.size, class_colors(self.class_names)
        rows = zip(self.class_names, found.pixels.tolist(), found.mean_scores.tolist(), colors, strict=True)
        return [
            SegmentClass(
                index=index,
                name=name,
                pixels=pixels,
                fraction=pixels / total,
                mean_score=score,
                color=hex_color(color),
            )
            for index, (name, pixels, score, color) in enumerate(rows)
        ]

    def _soft_map(self, values: NDArray[np.float32], index: int, canvas: Canvas, seen: SeenCells) -> SoftMap:
        if self.style.size == MASK_SIZE_AS_IMAGE:
            levels = probability_map_of_image(values, seen.box, canvas.width, canvas.height)
        else:
            levels = seen.spread(grey_levels(values), 0)
        height, width = levels.shape
        return SoftMap(class_index=index, height=height, width=width, data=encode_probability_map(levels))
