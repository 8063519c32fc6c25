"""The pictures that heatmaps are written as."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from spyglass_cli.outcomes import Outcome
from spyglass_cli.picture_files import JPEG_QUALITY, PictureFiles
from spyglass_cli.sources import HEATMAP_MARK, STANDARD_INPUT
from spyglass_client import Heatmap
from spyglass_contract.errors import InvalidInput

# What a name must end in to be that of a picture and not of a folder.
_PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")


class HeatmapFiles(PictureFiles):
    """Writes the overlay of each heatmap as PICTURE.heatmap.jpg, or as one file."""

    def __init__(self, folder: Path | None = None, file: Path | None = None) -> None:
        """Into `folder`, or as `file` where only one is written; neither: beside each picture."""
        super().__init__(folder)
        self._file = file

    @classmethod
    def at(cls, where: Path, pictures: Sequence[str]) -> HeatmapFiles:
        """In the folder `where`, or as the file where its name is that of a picture.

        `pictures` are the paths that are asked about. Raises InvalidInput for one file and several pictures,
        for a picture of a kind that is not written, and for a file that is one of the pictures itself.
        """
        suffix = where.suffix.lower()
        if where.is_dir() or not (where.exists() or suffix in Image.registered_extensions()):
            return cls(folder=where)
        if suffix not in _PICTURE_SUFFIXES:
            kinds = ", ".join(_PICTURE_SUFFIXES)
            raise InvalidInput(f"{where} is no folder, and its name does not end in one of {kinds}")
        if len(pictures) > 1:
            raise InvalidInput(
                f"{len(pictures)} heatmaps do not go into one file; instead of {where} name a folder"
            )
        if any(_same_file(where, picture) for picture in pictures):
            raise InvalidInput(f"{where} is the picture itself, which its heatmap would overwrite")
        return cls(file=where)

    def _write(self, outcome: Outcome) -> list[Path]:
        if not isinstance(outcome.answer, Heatmap):
            return []
        explained = outcome.answer.explained
        paths = []
        for heatmap in explained:
            suffix = f"-{heatmap.target.index}" if len(explained) > 1 else ""
            path = self._place(outcome.path, f"{HEATMAP_MARK}{suffix}.jpg")
            heatmap.overlay().save(path, quality=JPEG_QUALITY)
            paths.append(path)
        return paths

    def _place(self, picture: str, suffix: str) -> Path:
        if self._file is None:
            return self._free(picture, suffix)
        self._file.parent.mkdir(parents=True, exist_ok=True)
        return self._file


def _same_file(where: Path, picture: str) -> bool:
    """Whether both are one file, however they are spelt and linked."""
    both = picture != STANDARD_INPUT and where.exists() and os.path.exists(picture)
    return both and os.path.samefile(where, picture)
