"""The pictures that heatmaps are written as."""

from __future__ import annotations

from pathlib import Path

from spyglass_cli.outcomes import Outcome
from spyglass_cli.picture_files import JPEG_QUALITY, PictureFiles
from spyglass_cli.sources import HEATMAP_MARK
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
    def at(cls, where: Path, pictures: int) -> HeatmapFiles:
        """In the folder `where`, or as the file where its name is that of a picture.

        Raises InvalidInput for one file and several pictures, and for a file that is no picture.
        """
        if where.is_dir() or (where.suffix.lower() not in _PICTURE_SUFFIXES and not where.exists()):
            return cls(folder=where)
        if where.suffix.lower() not in _PICTURE_SUFFIXES:
            kinds = ", ".join(_PICTURE_SUFFIXES)
            raise InvalidInput(f"{where} is no folder, and its name does not end in one of {kinds}")
        if pictures > 1:
            raise InvalidInput(
                f"{pictures} heatmaps do not go into one file; instead of {where} name a folder"
            )
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
