"""The files of heatmaps."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from spyglass_cli.asking.outcomes import Outcome
from spyglass_cli.asking.sources import HEATMAP_MARK, STANDARD_INPUT
from spyglass_cli.output.image_files import JPEG_QUALITY, ImageFiles
from spyglass_client import Heatmap
from spyglass_contract.errors import InvalidInput

# A name with one of these suffixes is a file, and any other name a folder.
_IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")


class HeatmapFiles(ImageFiles):
    """Writes the overlay of each heatmap as IMAGE.heatmap.jpg, or as one file."""

    def __init__(self, folder: Path | None = None, file: Path | None = None) -> None:
        """Write into `folder`, or the only heatmap as `file`; None for both: beside each image."""
        super().__init__(folder)
        self._file = file

    @classmethod
    def at(cls, where: Path, images: Sequence[str]) -> HeatmapFiles:
        """Write into the folder `where`, or as the file `where` if its name has the suffix of an image.

        `images` are the paths of the images. Raises InvalidInput for one file and several images, for a file
        format that is not written, and for a file that is one of the images itself.
        """
        suffix = where.suffix.lower()
        if where.is_dir() or not (where.exists() or suffix in Image.registered_extensions()):
            return cls(folder=where)
        if suffix not in _IMAGE_SUFFIXES:
            kinds = ", ".join(_IMAGE_SUFFIXES)
            raise InvalidInput(
                f"--heatmap must be a folder, or a file that ends in one of {kinds}, not {where}"
            )
        if len(images) > 1:
            raise InvalidInput(f"--heatmap must be a folder for {len(images)} images, not the file {where}")
        if any(_same_file(where, image) for image in images):
            raise InvalidInput(f"--heatmap must not be the image itself: {where}")
        return cls(file=where)

    def _write(self, outcome: Outcome) -> list[Path]:
        if not isinstance(outcome.result, Heatmap):
            return []
        explained = outcome.result.explained
        paths = []
        for heatmap in explained:
            suffix = f"-{heatmap.target.index}" if len(explained) > 1 else ""
            path = self._place(outcome.path, f"{HEATMAP_MARK}{suffix}.jpg")
            heatmap.overlay().save(path, quality=JPEG_QUALITY)
            paths.append(path)
        return paths

    def _place(self, image: str, suffix: str) -> Path:
        if self._file is None:
            return self._free(image, suffix)
        self._file.parent.mkdir(parents=True, exist_ok=True)
        return self._file


def _same_file(where: Path, image: str) -> bool:
    """Return whether both paths lead to one file."""
    both = image != STANDARD_INPUT and where.exists() and os.path.exists(image)
    return both and os.path.samefile(where, image)
