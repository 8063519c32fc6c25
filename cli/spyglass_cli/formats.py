"""The ways to write outcomes down."""

from __future__ import annotations

import csv
import json
from abc import ABC, abstractmethod
from typing import TextIO

from spyglass_cli.outcomes import Outcome
from spyglass_client import Failure

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
    """One row for each class of each picture, and one for each failure."""

    COLUMNS = ("path", "model", "version", "rank", "index", "class", "score", "error")

    def __init__(self, output: TextIO) -> None:
        self._output = output
        self._csv = csv.writer(output, lineterminator="\n")
        self._csv.writerow(self.COLUMNS)

    def add(self, outcome: Outcome) -> None:
        answer = outcome.answer
        if isinstance(answer, Failure):
            error = f"{answer.error.reason}: {answer.error.message}"
            self._csv.writerow((outcome.path, "", "", "", "", "", "", error))
        else:
            model = answer.model
            for rank, entry in enumerate(answer.classes, 1):
                score = f"{entry.score:.6f}"
                self._csv.writerow(
                    (outcome.path, model.name, model.version, rank, entry.index, entry.name, score, "")
                )
        self._output.flush()


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
