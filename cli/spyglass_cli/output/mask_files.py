"""The images that masks are written as."""

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

Kind = Literal["overlay", "mask", "cutout"]
KINDS: tuple[Kind, ...] = get_args(Kind)


class MaskFiles(ImageFiles):
    """Writes each mask over its image, by itself, or one class cut out of the image."""

    def __init__(self, kind: Kind, folder: Path | None = None, target: int | str | None = None) -> None:
        """Into `folder`; None: beside each image. `target` is the class to cut out.

        Raises InvalidInput for a cutout of nothing.
        """
        super().__init__(folder)
        if kind == "cutout" and target is None:
            raise InvalidInput("a cutout is of one class: name it with --class")
        self._kind = kind
        self._target = target

    def _write(self, outcome: Outcome) -> list[Path]:
        answer = outcome.answer
        if not isinstance(answer, Segmentation):
            return []
        # Drawn before a name is taken: what cannot be drawn leaves no file.
        suffix, data = self._drawn(answer)
        path = self._free(outcome.path, suffix)
        path.write_bytes(data)
        return [path]

    def _drawn(self, answer: Segmentation) -> tuple[str, bytes]:
        """What the file's name ends in, and the file. Raises InternalError where the mask is corrupt."""
        if self._target is not None and self._kind == "cutout":
            return f"{CUTOUT_MARK}.png", _encoded(answer.cutout(self._target), "PNG")
        if self._kind == "mask":
            # To look at the array is to decode the mask, which is then passed on as it came.
            return f"{MASK_MARK}.png", answer.png if answer.array.size else b""
        return f"{MASK_MARK}.jpg", _encoded(answer.overlay(), "JPEG", quality=JPEG_QUALITY)


def _encoded(image: Image.Image, image_format: str, **options: int) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, image_format, **options)
    return buffer.getvalue()
