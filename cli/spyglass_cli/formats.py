"""The ways to write outcomes down."""

from __future__ import annotations

import csv
import json
from abc import ABC, abstractmethod
from typing import TextIO

from spyglass_cli.outcomes import Outcome
from spyglass_client import Classification, Failure

FORMATS = ("table", "json", "jsonl", "csv")


class Writer(ABC):
    """Takes outcomes one by one."""

    # Whether each outcome can be read as soon as it is added.
    at_once = True

    @abstractmethod
    def add(self, outcome: Outcome) -> None: ...

    def close(self) -> None:
        """Writes what could not be written before the last outcome was known."""
        return None


class JsonLines(Writer):
    """One object a line."""

    def __init__(self, output: TextIO) -> None:
        self._output = output

    def add(self, outcome: Outcome) -> None:
        print(json.dumps(outcome.to_dict()), file=self._output, flush=True)


class JsonArray(Writer):
    """One array of all objects, each on lines of its own."""

    at_once = False

    def __init__(self, output: TextIO) -> None:
        self._output = output
        self._separator = "["

    def add(self, outcome: Outcome) -> None:
        print(self._separator, json.dumps(outcome.to_dict(), indent=2), file=self._output, sep="\n", end="")
        self._separator = ","

    def close(self) -> None:
        print("[]" if self._separator == "[" else "\n]", file=self._output)


class Csv(Writer):
    """One row for each class of each picture, and one for each failure.

    A class that has a heatmap and is not among the most probable has a row without a rank.
    """

    COLUMNS = ("path", "model", "version", "rank", "index", "class", "score", "error", "heatmap")

    def __init__(self, output: TextIO) -> None:
        self._output = output
        self._csv = csv.writer(output, lineterminator="\n")
        self._csv.writerow(self.COLUMNS)

    def add(self, outcome: Outcome) -> None:
        answer = outcome.answer
        if isinstance(answer, Failure):
            error = f"{answer.error.reason}: {answer.error.message}"
            self._csv.writerow((outcome.path, "", "", "", "", "", "", error, ""))
        else:
            self._add_classes(outcome, answer)
        self._output.flush()

    def _add_classes(self, outcome: Outcome, answer: Classification) -> None:
        heatmaps = {heatmap.target: path for heatmap, path in outcome.written()}
        unranked = [target for target in heatmaps if target not in answer.classes]
        ranked = [*enumerate(answer.classes, 1), *(("", target) for target in unranked)]
        for rank, entry in ranked:
            model, score, heatmap = answer.model, f"{entry.score:.6f}", heatmaps.get(entry, "")
            self._csv.writerow(
                (outcome.path, model.name, model.version, rank, entry.index, entry.name, score, "", heatmap)
            )


def make_writer(name: str, output: TextIO, errors: TextIO) -> Writer:
    """The writer of `FORMATS`. Failures are part of what is written; of a table they go to `errors`."""
    if name == "json":
        return JsonArray(output)
    if name == "jsonl":
        return JsonLines(output)
    if name == "csv":
        return Csv(output)
    from spyglass_cli.table import Table

    return Table(output, errors)
