"""The pictures that heatmaps are written as."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from pathlib import Path

from spyglass_cli.outcomes import Outcome, Outcomes
from spyglass_cli.sources import HEATMAP_MARK, STANDARD_INPUT
from spyglass_client import Heatmap
from spyglass_contract.errors import InvalidInput

# What a name must end in to be that of a picture and not of a folder.
_PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")
_JPEG_QUALITY = 90


class HeatmapFiles:
    """Writes the overlay of each heatmap, and never two of them to one file."""

    def __init__(self, folder: Path | None = None, file: Path | None = None) -> None:
        """Into `folder`, or as `file` where only one is written; neither: beside each picture."""
        self._folder = folder
        self._file = file
        self._taken: set[Path] = set()

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

    def save_all(self, outcomes: Outcomes) -> Outcomes:
        """The same outcomes, each after its heatmaps were written. Raises OSError where they cannot be."""
        with closing(outcomes):
            for outcome in outcomes:
                yield self._save(outcome)

    def _save(self, outcome: Outcome) -> Outcome:
        if not isinstance(outcome.answer, Heatmap):
            return outcome
        explained = outcome.answer.explained
        paths = []
        for heatmap in explained:
            suffix = f"-{heatmap.target.index}" if len(explained) > 1 else ""
            path = self._file or self._free(outcome.path, f"{HEATMAP_MARK}{suffix}.jpg")
            path.parent.mkdir(parents=True, exist_ok=True)
            heatmap.overlay().save(path, quality=_JPEG_QUALITY)
            paths.append(str(path))
        return replace(outcome, heatmaps=tuple(paths))

    def _free(self, picture: str, suffix: str) -> Path:
        """Pictures of one name may come from several folders: the second is numbered."""
        source = Path("standard-input" if picture == STANDARD_INPUT else picture)
        folder = self._folder or source.parent
        path, number = folder / f"{source.stem}{suffix}", 1
        while path in self._taken:
            number += 1
            path = folder / f"{source.stem}-{number}{suffix}"
        self._taken.add(path)
        return path
