"""The state of a run after an epoch, in one file that is replaced in one step: a run may be killed."""

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
from spyglass_training.whole_files import replacing

_FACTS = "facts"


@dataclass(frozen=True)
class Backup:
    """Every variable of a network and its optimiser after an epoch; those of random numbers too."""

    # How many epochs are done, and the phase that the last of them belongs to.
    epochs: int
    phase: int
    # What must be the same for the run to go on: options, data, architecture.
    plan: Mapping[str, Any]
    variables: Mapping[str, NDArray[Any]]

    def restore(self, model: keras.Model, phase: int) -> None:
        """Gives a compiled `model` its state; the optimiser of another phase starts afresh."""
        for name, variable in _variables(model):
            if phase == self.phase or not name.startswith("optimizer"):
                variable.assign(self.variables[name])

    def check(self, plan: Mapping[str, Any]) -> None:
        """Raises InvalidInput where the run was begun with another plan."""
        for name, wanted in plan.items():
            if wanted != self.plan.get(name):
                raise InvalidInput(
                    f"the run was begun with {name} {self.plan.get(name)}, not {wanted}; it goes on only as "
                    "it began",
                    field=name,
                )


def write_backup(path: Path, model: keras.Model, epochs: int, phase: int, plan: Mapping[str, Any]) -> None:
    """Writes the state of a compiled `model`."""
    facts = json.dumps({"epochs": epochs, "phase": phase, "plan": plan})
    arrays = {name: keras.ops.convert_to_numpy(variable) for name, variable in _variables(model)}
    arrays[_FACTS] = np.array(facts)
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)


def read_backup(path: Path) -> Backup | None:
    """None where there is none. Raises InvalidInput where the file is no backup."""
    if not path.exists():
        return None
    try:
        with np.load(path, allow_pickle=False) as arrays:
            facts = json.loads(str(arrays[_FACTS]))
            return Backup(**facts, variables={name: arrays[name] for name in arrays if name != _FACTS})
    except (ValueError, KeyError, TypeError, EOFError, zlib.error, zipfile.BadZipFile) as error:
        raise InvalidInput(f"{path} is not the backup of a run: {error}", field="out") from error


def _variables(model: keras.Model) -> Iterator[tuple[str, keras.Variable]]:
    """By their place: names of variables need not be unique."""
    for index, variable in enumerate(model.variables):
        yield f"model{index}", variable
    for index, variable in enumerate(model.optimizer.variables):
        yield f"optimizer{index}", variable
