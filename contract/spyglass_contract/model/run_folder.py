"""The folder of a training run: training writes it, the export reads it."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from google.protobuf import json_format

from spyglass.v1.model_pb2 import TASK_CLASSIFY, InputSpec, Task
from spyglass_contract.errors import InvalidInput, ModelError
from spyglass_contract.files import write_whole
from spyglass_contract.images.folders import is_hidden

# A number, or a text such as the name of an optimiser.
Option = float | int | str


@dataclass(frozen=True)
class DataRecord:
    """The source of the weights: a data set, or published weights."""

    name: str
    # The licence under which the weights may be passed on.
    licence: str
    # The SHA-256 of the file that was read, lower-case hexadecimal.
    sha256: str


@dataclass(frozen=True)
class LeftOut:
    """Files of a data set that a run did not use, for one reason."""

    reason: str
    count: int
    # Names of a few of them, relative to the data set.
    examples: tuple[str, ...] = ()


@dataclass(frozen=True)
class RunRecord:
    """The content of `run.json`."""

    architecture: str
    # One or two sentences for people; the card gets them, too.
    description: str
    parameters: int
    input: InputSpec
    # In the order of the network's outputs.
    class_names: tuple[str, ...]
    data: DataRecord
    # The options of the training.
    options: dict[str, Option]
    library_versions: dict[str, str]
    # Loss and accuracy after each epoch, on the training and the validation split.
    epochs: tuple[dict[str, float], ...]
    # The metrics that this run measured.
    metrics: dict[str, float]
    # The end of the run: ISO 8601, UTC.
    created: str
    # The wall time of the run.
    seconds: float
    # TASK_CLASSIFY for one class an image, TASK_SEGMENT for one class a pixel.
    task: Task.ValueType = TASK_CLASSIFY
    # The files of the data set that the run did not use.
    left_out: tuple[LeftOut, ...] = ()
    # What is suspicious about the data set, one sentence each.
    data_warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class RunFolder:
    """The paths of the files of a run."""

    path: Path

    @property
    def model(self) -> Path:
        """The network with its weights, in Keras's own format."""
        return self.path / "model.keras"

    @property
    def record(self) -> Path:
        """The record of the run, as JSON."""
        return self.path / "run.json"

    @property
    def curves(self) -> Path:
        """A plot of loss and accuracy over the epochs."""
        return self.path / "curves.png"

    @property
    def epochs(self) -> Path:
        """One line of JSON for each epoch, written when the epoch ends."""
        return self.path / "epochs.jsonl"

    @property
    def backup(self) -> Path:
        """The state after the last epoch; the file is deleted when the run is finished."""
        return self.path / "backup.npz"

    @property
    def tensorboard(self) -> Path:
        """The folder of TensorBoard's logs; it exists only if the run was started with them."""
        return self.path / "tensorboard"

    @property
    def confusion(self) -> Path:
        """A plot of the confusion matrix."""
        return self.path / "confusion.png"

    @property
    def worst(self) -> Path:
        """A plot of the worst errors on the test split; of masks, the true and the predicted ones."""
        return self.path / "worst.png"

    @property
    def report(self) -> Path:
        """The report of the run, in Markdown."""
        return self.path / "report.md"

    @property
    def golden(self) -> Path:
        """The folder of the golden images: encoded files that the network was not trained on."""
        return self.path / "golden"

    def create(self) -> None:
        """Make the folder. Raises InvalidInput if it exists and is not empty: no run overwrites another."""
        self.check_free()
        self.path.mkdir(parents=True, exist_ok=True)

    def check_free(self) -> None:
        """Raise InvalidInput if the path is a file, or a folder with more than an empty log of epochs."""
        if self.path.exists() and not self.path.is_dir():
            raise InvalidInput(f"{self.path} is a file; a run needs a folder of its own", field="out")
        if self.path.exists() and any(not self._is_empty_log(path) for path in self.path.iterdir()):
            started = self.backup.exists() or self.epochs.exists()
            unfinished = started and not self.record.exists()
            hint = "; to continue the unfinished run in it, use --resume" if unfinished else ""
            raise InvalidInput(
                f"{self.path} is not empty; a run needs a folder of its own{hint}", field="out"
            )

    def _is_empty_log(self, path: Path) -> bool:
        """Return whether a file is the empty log that a run leaves if it fails in its first epoch."""
        return path == self.epochs and path.is_file() and path.stat().st_size == 0

    def write_record(self, record: RunRecord) -> None:
        """Write `run.json`."""
        fields = {field.name: getattr(record, field.name) for field in dataclasses.fields(record)}
        fields["input"] = json_format.MessageToDict(record.input, preserving_proto_field_name=True)
        fields["task"] = Task.Name(record.task)
        fields["data"] = dataclasses.asdict(record.data)
        fields["left_out"] = [dataclasses.asdict(entry) for entry in record.left_out]
        # In one step, because a run with a record counts as finished.
        write_whole(self.record, json.dumps(fields, indent=2, ensure_ascii=False) + "\n")

    def read_record(self) -> RunRecord:
        """Read `run.json`. Raises ModelError if it is missing or incomplete."""
        try:
            return _record(json.loads(self.record.read_text(encoding="utf-8")))
        except FileNotFoundError as error:
            raise ModelError(f"{self.path} holds no training run: it has no {self.record.name}") from error
        except (ValueError, TypeError, KeyError, json_format.ParseError) as error:
            raise ModelError(f"{self.record} is not the record of a run: {error}") from error

    def read_golden(self) -> dict[str, bytes]:
        """Return the golden images by file name, sorted by name. Raises ModelError if there are none."""
        paths = (path for path in sorted(self.golden.glob("*")) if not is_hidden(path.name))
        images = {path.name: path.read_bytes() for path in paths}
        if not images:
            raise ModelError(
                f"{self.golden} holds no golden images; the export needs them for the certificate"
            )
        return images


def _record(fields: dict[str, Any]) -> RunRecord:
    return RunRecord(
        **{
            **fields,
            "input": json_format.ParseDict(fields["input"], InputSpec()),
            "task": Task.Value(fields.get("task", Task.Name(TASK_CLASSIFY))),
            "class_names": tuple(fields["class_names"]),
            "data": DataRecord(**fields["data"]),
            "epochs": tuple(fields["epochs"]),
            "left_out": tuple(
                LeftOut(entry["reason"], entry["count"], tuple(entry["examples"]))
                for entry in fields.get("left_out", ())
            ),
            "data_warnings": tuple(fields.get("data_warnings", ())),
        }
    )
