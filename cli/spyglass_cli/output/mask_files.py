"""The files of masks."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Literal, get_args

from PIL import Image

from spyglass_cli.asking.outcomes import Outcome
from spyglass_cli.asking.sources import CUTOUT_MARK, MASK_MARK
from spyglass_cli.output.image_files import JPEG_QUALITY, ImageFiles
from spyglass_client import Segmentation
from spyglass_contract.errors import InvalidInput
from spyglass_contract.model.class_names import name_or_index

Kind = Literal["overlay", "mask", "cutout"]
KINDS: tuple[Kind, ...] = get_args(Kind)


class MaskFiles(ImageFiles):
    """Writes each mask as an overlay, as a palette PNG, or as a cutout of one class."""

    def __init__(self, kind: Kind, folder: Path | None = None, target: int | str | None = None) -> None:
        """Write into `folder`, None: beside each image. `target` is the class to cut out.

        Raises InvalidInput for a cutout without a class.
        """
        super().__init__(folder)
        if kind == "cutout" and target is None:
            raise InvalidInput("--kind cutout needs a class: name it with --class")
        self._kind = kind
        # A text is a name or an index.
        self._target = "" if target is None else target

    def _class(self, result: Segmentation) -> int | str:
        return (
            name_or_index(self._target, result.class_names) if isinstance(self._target, str) else self._target
        )

    def _write(self, outcome: Outcome) -> list[Path]:
        result = outcome.result
        if not isinstance(result, Segmentation):
            return []
        # Draw first: a mask that cannot be drawn must not take a name.
        suffix, data = self._drawn(result)
        path = self._free(outcome.path, suffix)
        path.write_bytes(data)
        return [path]

    def _drawn(self, result: Segmentation) -> tuple[str, bytes]:
        """Return the end of the file's name, and the file. Raises InternalError if the mask is corrupt."""
        if self._kind == "cutout":
            return f"{CUTOUT_MARK}.png", _encoded(result.cutout(self._class(result)), "PNG")
        if self._kind == "mask":
            # Reading the array checks that the mask can be decoded; the file is the PNG of the server.
            return f"{MASK_MARK}.png", result.png if result.array.size else b""
        return f"{MASK_MARK}.jpg", _encoded(result.overlay(), "JPEG", quality=JPEG_QUALITY)


def _encoded(image: Image.Image, image_format: str, **options: int) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, image_format, **options)
    return buffer.getvalue()
