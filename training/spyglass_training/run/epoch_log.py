"""The log of a run: one line for each epoch, in memory and in a file."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from spyglass_contract.errors import InvalidInput
from spyglass_contract.files import write_whole


@dataclass(frozen=True)
class Epoch:
    """The metrics of one epoch."""

    # Counted from 1 over all phases.
    number: int
    phase: int
    # Loss and accuracy by name, and with `val_` those of the validation part.
    metrics: dict[str, float]
    # At the end of the epoch.
    learning_rate: float
    seconds: float


class EpochLog:
    """The epochs so far. The best of them has the highest accuracy or the lowest loss, by `monitor`."""

    def __init__(self, path: Path, monitor: str) -> None:
        self._path = path
        self._monitor = monitor
        self.epochs: list[Epoch] = []

    def read(self, count: int) -> None:
        """Read the first `count` epochs of the file, and remove the others from it.

        Raises InvalidInput if the file has fewer: the run would continue with other numbers.
        """
        try:
            written = self._path.read_text(encoding="utf-8") if self._path.exists() else ""
            lines = written.splitlines()[:count]
            self.epochs = [Epoch(**json.loads(line)) for line in lines]
        except (ValueError, TypeError) as error:
            raise InvalidInput(
                f"{self._path} is damaged; the run cannot be resumed", field="resume"
            ) from error
        if len(lines) < count:
            raise InvalidInput(
                f"{self._path} has {len(lines)} of the {count} finished epochs; the run cannot be resumed",
                field="resume",
            )
        if written:
            write_whole(self._path, "".join(f"{line}\n" for line in lines).encode())

    def append(self, epoch: Epoch) -> None:
        """Add an epoch in memory and in the file."""
        self.epochs.append(epoch)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(dataclasses.asdict(epoch)) + "\n")

    def of_phase(self, phase: int) -> list[Epoch]:
        """Return the epochs of one phase, in order."""
        return [epoch for epoch in self.epochs if epoch.phase == phase]

    def newest_is_best(self) -> bool:
        """Return whether the last epoch is better than all before it."""
        *before, newest = self._scores(self.epochs)
        return all(newest > score for score in before)

    def epochs_without_better(self, phase: int) -> int:
        """Return the number of epochs of `phase` after its best one."""
        scores = list(self._scores(self.of_phase(phase)))
        return len(scores) - 1 - scores.index(max(scores)) if scores else 0

    def _scores(self, epochs: list[Epoch]) -> Iterator[float]:
        """Yield the monitored metric, negated if lower is better."""
        sign = -1 if self._monitor.endswith("loss") else 1
        return (sign * epoch.metrics[self._monitor] for epoch in epochs)
