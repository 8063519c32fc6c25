"""The log of a run: a line an epoch, in memory and in a file."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from spyglass_contract.errors import InvalidInput
from spyglass_training.whole_files import replacing

# Metrics by name: loss and accuracy, and with `val_` those of the validation part.
Metrics = dict[str, float]


@dataclass(frozen=True)
class Epoch:
    """What came of one epoch."""

    # From 1, over all phases.
    number: int
    phase: int
    metrics: Metrics
    # At its end.
    learning_rate: float
    seconds: float


class EpochLog:
    """The epochs so far; the best of them is the one with the highest, or lowest, `monitor`."""

    def __init__(self, path: Path, monitor: str) -> None:
        self._path = path
        self._monitor = monitor
        self.epochs: list[Epoch] = []

    def read(self, count: int) -> None:
        """Takes the first `count` epochs of the file, and drops the others from it.

        Raises InvalidInput where it has fewer: a run would go on with other numbers than it would have had.
        """
        try:
            written = self._path.read_text(encoding="utf-8") if self._path.exists() else ""
            lines = written.splitlines()[:count]
            self.epochs = [Epoch(**json.loads(line)) for line in lines]
        except (ValueError, TypeError) as error:
            raise InvalidInput(f"{self._path} is damaged; the run cannot go on", field="resume") from error
        if len(lines) < count:
            raise InvalidInput(
                f"{self._path} has {len(lines)} of the {count} epochs that were done; the run cannot go on",
                field="resume",
            )
        if written:
            with replacing(self._path) as temporary:
                temporary.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")

    def append(self, epoch: Epoch) -> None:
        """Adds an epoch, in the file too."""
        self.epochs.append(epoch)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(dataclasses.asdict(epoch)) + "\n")

    def of_phase(self, phase: int) -> list[Epoch]:
        """The epochs of one phase, in order."""
        return [epoch for epoch in self.epochs if epoch.phase == phase]

    def newest_is_best(self) -> bool:
        """Whether no epoch before the last one did as well."""
        *before, newest = self._scores(self.epochs)
        return all(newest > score for score in before)

    def epochs_without_better(self, phase: int) -> int:
        """How many epochs of `phase` came after its best one."""
        scores = list(self._scores(self.of_phase(phase)))
        return len(scores) - 1 - scores.index(max(scores)) if scores else 0

    def _scores(self, epochs: list[Epoch]) -> Iterator[float]:
        """The higher the better."""
        sign = -1 if self._monitor.endswith("loss") else 1
        return (sign * epoch.metrics[self._monitor] for epoch in epochs)
