"""The folder of a training run: what training leaves behind and the export starts from."""

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

# A number, or a text such as the name of an optimiser.
Option = float | int | str


@dataclass(frozen=True)
class DataRecord:
    """What the weights come from: the data, and the file that was read, a data set or published weights."""

    name: str
    # Under which the weights may be passed on.
    licence: str
    # Of the file, lower-case hexadecimal.
    sha256: str


@dataclass(frozen=True)
class RunRecord:
    """What `run.json` says of a run."""

    architecture: str
    # One or two sentences for people; they become the card's.
    description: str
    parameters: int
    input: InputSpec
    # In the order of the network's outputs.
    class_names: tuple[str, ...]
    data: DataRecord
    # How the network was trained, and with which software.
    options: dict[str, Option]
    library_versions: dict[str, str]
    # Loss and accuracy after each epoch, on the training and the validation part.
    epochs: tuple[dict[str, float], ...]
    # Only what was measured in this run.
    metrics: dict[str, float]
    # ISO 8601, UTC.
    created: str
    # Wall time.
    seconds: float
    # Whether the network answers for the image or for each of its pixels.
    task: Task.ValueType = TASK_CLASSIFY


@dataclass(frozen=True)
class RunFolder:
    """Where each file of a run lies."""

    path: Path

    @property
    def model(self) -> Path:
        """The network with its weights, in Keras's own format."""
        return self.path / "model.keras"

    @property
    def record(self) -> Path:
        """All that is known about the run, as JSON."""
        return self.path / "run.json"

    @property
    def curves(self) -> Path:
        """Loss and accuracy over the epochs, drawn."""
        return self.path / "curves.png"

    @property
    def epochs(self) -> Path:
        """A line of JSON for each epoch, written as it ends."""
        return self.path / "epochs.jsonl"

    @property
    def backup(self) -> Path:
        """The state after the last epoch; there only while the run is not finished."""
        return self.path / "backup.npz"

    @property
    def tensorboard(self) -> Path:
        """A folder of what TensorBoard shows, where that was asked for."""
        return self.path / "tensorboard"

    @property
    def confusion(self) -> Path:
        """How often each class was taken for each other, drawn."""
        return self.path / "confusion.png"

    @property
    def worst(self) -> Path:
        """The worst mistakes on the test part, or of a network that segments images, truths and answers."""
        return self.path / "worst.png"

    @property
    def report(self) -> Path:
        """All of it tied together, in Markdown."""
        return self.path / "report.md"

    @property
    def golden(self) -> Path:
        """A folder of encoded images that the network was not trained on."""
        return self.path / "golden"

    def create(self) -> None:
        """Makes the folder. Raises InvalidInput where there is one with something in it: runs are kept."""
        self.check_free()
        self.path.mkdir(parents=True, exist_ok=True)

    def check_free(self) -> None:
        """Raises InvalidInput where the path is no folder, or one with something in it but an empty log."""
        if self.path.exists() and not self.path.is_dir():
            raise InvalidInput(f"{self.path} is a file; a run goes into a folder of its own", field="out")
        if self.path.exists() and any(not self._is_empty_log(path) for path in self.path.iterdir()):
            begun = self.backup.exists() or self.epochs.exists()
            unfinished = begun and not self.record.exists()
            hint = "; its run was not finished: --resume goes on with it" if unfinished else ""
            raise InvalidInput(
                f"{self.path} is not empty; a run goes into a folder of its own{hint}", field="out"
            )

    def _is_empty_log(self, path: Path) -> bool:
        """What a run leaves that came to nothing."""
        return path == self.epochs and path.is_file() and path.stat().st_size == 0

    def write_record(self, record: RunRecord) -> None:
        """Writes `run.json`."""
        fields = {field.name: getattr(record, field.name) for field in dataclasses.fields(record)}
        fields["input"] = json_format.MessageToDict(record.input, preserving_proto_field_name=True)
        fields["task"] = Task.Name(record.task)
        fields["data"] = dataclasses.asdict(record.data)
        # In one step: a run that has a record is finished.
        write_whole(self.record, json.dumps(fields, indent=2, ensure_ascii=False) + "\n")

    def read_record(self) -> RunRecord:
        """Reads `run.json`. Raises ModelError where there is none, or one that is not whole."""
        try:
            return _record(json.loads(self.record.read_text(encoding="utf-8")))
        except FileNotFoundError as error:
            raise ModelError(f"{self.path} is no training run: it has no {self.record.name}") from error
        except (ValueError, TypeError, KeyError, json_format.ParseError) as error:
            raise ModelError(f"{self.record} is not the record of a run: {error}") from error

    def read_golden(self) -> dict[str, bytes]:
        """The golden images by file name, in the order of their names. Raises ModelError without any."""
        images = {path.name: path.read_bytes() for path in sorted(self.golden.glob("*"))}
        if not images:
            raise ModelError(f"{self.golden} holds no golden images")
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
        }
    )
