"""What a data set does not use: counted by reason, for the output, the record and the report of a run."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from spyglass_contract.images.folders import files_below
from spyglass_contract.model.run_folder import LeftOut

# Maximum number of names and of reasons that are kept.
_EXAMPLES, _REASONS = 3, 20
_OTHER = "of other kinds"


class Omissions:
    """Counts the files and folders that are left out, by reason."""

    def __init__(self, root: Path) -> None:
        """Names are relative to `root`."""
        self._root = root
        self._counts: dict[str, int] = {}
        self._examples: dict[str, list[str]] = {}

    def add(self, reason: str, path: Path | str, count: int = 1) -> None:
        """Count `count` files, of which one or their folder is `path`."""
        if reason not in self._counts and len(self._counts) >= _REASONS:
            reason = _OTHER
        self._counts[reason] = self._counts.get(reason, 0) + count
        examples = self._examples.setdefault(reason, [])
        if len(examples) < _EXAMPLES:
            examples.append(self._named(path))

    def entries(self) -> tuple[LeftOut, ...]:
        """Return what was left out so far, one entry for each reason."""
        return tuple(
            LeftOut(reason, count, tuple(self._examples[reason])) for reason, count in self._counts.items()
        )

    def _named(self, path: Path | str) -> str:
        path = Path(path)
        return (path.relative_to(self._root) if path.is_relative_to(self._root) else path).as_posix()


def images_below(folder: Path, omissions: Omissions | None = None) -> list[Path]:
    """Return the images in `folder` and its sub-folders, sorted; count all other files in `omissions`."""
    images = []
    for file in files_below(folder):
        if file.is_image:
            images.append(file.path)
        elif omissions is not None:
            omissions.add(file.reason, file.path)
    return sorted(images)


def left_out_lines(left_out: Iterable[LeftOut]) -> list[str]:
    """Return one line for each reason, such as "left out 3: the suffix .heic is … (cat/1.heic, …)"."""
    return [
        f"left out {entry.count:,}: {entry.reason} ({', '.join(entry.examples)}"
        f"{', …' if entry.count > len(entry.examples) else ''})"
        for entry in left_out
    ]
