"""The drawings that commands write beside images."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from spyglass_cli.asking.outcomes import Outcome, Outcomes
from spyglass_cli.asking.sources import STANDARD_INPUT
from spyglass_client import Failure, SpyglassError
from spyglass_contract.errors import FailedPrecondition, InvalidInput

JPEG_QUALITY = 90


class ImageFiles(ABC):
    """Writes the drawing of each result, and never two drawings to one file."""

    def __init__(self, folder: Path | None = None) -> None:
        """Write into `folder`, None: beside each image. Raises InvalidInput if `folder` is a file."""
        if folder is not None and folder.exists() and not folder.is_dir():
            raise InvalidInput(f"--out must be a folder, and {folder} is a file", field="out")
        self._folder = folder
        self._taken: set[Path] = set()

    @abstractmethod
    def _write(self, outcome: Outcome) -> list[Path]:
        """Write the drawings of an outcome and return their paths. Raises OSError and SpyglassError."""

    def save_all(self, outcomes: Outcomes) -> Outcomes:
        """Yield the same outcomes, each after its files were written.

        A result that cannot be drawn or written becomes a failure; the others go on.
        """
        with closing(outcomes):
            for outcome in outcomes:
                yield self._save(outcome)

    def _save(self, outcome: Outcome) -> Outcome:
        try:
            return replace(outcome, files=tuple(str(path) for path in self._write(outcome)))
        except SpyglassError as error:
            return replace(outcome, result=Failure(error))
        except OSError as error:
            return replace(outcome, result=Failure(_not_written(error)))

    def _free(self, image: str, suffix: str) -> Path:
        """Return a path that was not used yet: images of one name from several folders get numbers."""
        source = Path("standard-input" if image == STANDARD_INPUT else image)
        folder = self._folder or source.parent
        path, number = folder / f"{source.stem}{suffix}", 1
        while path.resolve() in self._taken:
            number += 1
            path = folder / f"{source.stem}-{number}{suffix}"
        self._taken.add(path.resolve())
        path.parent.mkdir(parents=True, exist_ok=True)
        return path


def _not_written(error: OSError) -> SpyglassError:
    cause = f"{error.filename}: {error.strerror}" if error.filename else str(error)
    return FailedPrecondition(f"cannot write the drawing to {cause}", reason="FILE_NOT_WRITTEN")
