"""The state of a run after an epoch, in one file, so that a killed run can be resumed."""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from spyglass_contract.errors import InvalidInput
from spyglass_contract.files import whole_file

_FACTS = "facts"


@dataclass(frozen=True)
class Backup:
    """Every variable of a network and its optimiser after an epoch, random generators included."""

    # Number of finished epochs, and the phase of the last of them.
    epochs: int
    phase: int
    # Facts that must be equal in the resumed run: options, data, architecture.
    plan: Mapping[str, Any]
    variables: Mapping[str, NDArray[Any]]

    def restore(self, model: keras.Model, phase: int) -> None:
        """Set the state of a compiled `model`. In another phase the optimiser keeps its own, fresh state."""
        for name, variable in _variables(model):
            if phase == self.phase or not name.startswith("optimizer"):
                variable.assign(self.variables[name])

    def check(self, plan: Mapping[str, Any]) -> None:
        """Raise InvalidInput if the run was started with another plan."""
        for name, value in plan.items():
            if value != self.plan.get(name):
                raise InvalidInput(
                    f"the run was started with {name} {self.plan.get(name)}, not {value}; resume it with the "
                    "same options",
                    field=name,
                )


def write_backup(path: Path, model: keras.Model, epochs: int, phase: int, plan: Mapping[str, Any]) -> None:
    """Write the state of a compiled `model`."""
    facts = json.dumps({"epochs": epochs, "phase": phase, "plan": plan})
    arrays = {name: keras.ops.convert_to_numpy(variable) for name, variable in _variables(model)}
    arrays[_FACTS] = np.array(facts)
    with whole_file(path) as temporary, temporary.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)


def read_backup(path: Path) -> Backup | None:
    """Return None if there is no file. Raises InvalidInput if the file is not a backup."""
    if not path.exists():
        return None
    try:
        with np.load(path, allow_pickle=False) as arrays:
            facts = json.loads(str(arrays[_FACTS]))
            return Backup(**facts, variables={name: arrays[name] for name in arrays if name != _FACTS})
    except (ValueError, KeyError, TypeError, EOFError, zlib.error, zipfile.BadZipFile) as error:
        raise InvalidInput(f"{path} is not the backup of a run: {error}", field="out") from error


def _variables(model: keras.Model) -> Iterator[tuple[str, keras.Variable]]:
    """Yield variables under names by position: Keras's names need not be unique."""
    for index, variable in enumerate(model.variables):
        yield f"model{index}", variable
    for index, variable in enumerate(model.optimizer.variables):
        yield f"optimizer{index}", variable
