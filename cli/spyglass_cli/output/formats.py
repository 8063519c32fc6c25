"""The output formats of outcomes."""

from __future__ import annotations

import csv
import json
from typing import TextIO

from spyglass_cli.asking.outcomes import Outcome
from spyglass_cli.output.rows import Rows
from spyglass_cli.output.writer import Writer
from spyglass_client import Failure

FORMATS = ("table", "json", "jsonl", "csv")


class JsonLines(Writer):
    """One JSON object a line."""

    def __init__(self, output: TextIO) -> None:
        self._output = output

    def add(self, outcome: Outcome) -> None:
        print(json.dumps(outcome.to_dict()), file=self._output, flush=True)


class JsonArray(Writer):
    """One JSON array of all objects."""

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
    """Rows for each image, and one row for each failure."""

    def __init__(self, rows: Rows, output: TextIO) -> None:
        self._rows = rows
        self._output = output
        self._csv = csv.DictWriter(output, rows.columns, restval="", lineterminator="\n")
        self._csv.writeheader()

    def add(self, outcome: Outcome) -> None:
        result = outcome.result
        if isinstance(result, Failure):
            self._csv.writerow(
                {"path": outcome.path, "error": f"{result.error.reason}: {result.error.message}"}
            )
        else:
            model = {"path": outcome.path, "model": result.model.name, "version": result.model.version}
            self._csv.writerows({**model, **row} for row in self._rows.fields(outcome))
        self._output.flush()


def make_writer(name: str, rows: Rows, output: TextIO, errors: TextIO) -> Writer:
    """Return the writer of one of `FORMATS`.

    Failures are part of the output; those of a table go to `errors`.
    """
    if name == "json":
        return JsonArray(output)
    if name == "jsonl":
        return JsonLines(output)
    if name == "csv":
        return Csv(rows, output)
    from spyglass_cli.output.table import Table

    return Table(rows, output, errors)
