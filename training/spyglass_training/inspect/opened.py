"""A trained network to inspect, and the images that it takes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import keras

from spyglass.v1.model_pb2 import (
    COLOR_MODE_GREY,
    COLOR_MODE_RGB,
    RESIZE_RULE_STRETCH,
    InputSpec,
    ValueRange,
)
from spyglass_contract.errors import FailedPrecondition
from spyglass_contract.model.run_folder import RunFolder
from spyglass_training.weights.keras_file import load_keras


@dataclass(frozen=True)
class Opened:
    """A network with the input and the classes that it was trained for."""

    model: keras.Model
    input: InputSpec
    class_names: tuple[str, ...]
    # Seed of its run, which decided the parts of the data.
    seed: int = 0


def open_model(path: Path) -> Opened:
    """Open the folder of a run, or a .keras file.

    The record of a run has the input and the classes. Without a record, images are stretched to the input and
    classes are numbers. Raises NotFound if the path does not exist, ModelError if the network cannot be read,
    and FailedPrecondition if its input is not an image of one or three channels.
    """
    folder = RunFolder(path if path.is_dir() else path.parent)
    if path.is_dir() or (path == folder.model and folder.record.exists()):
        record = folder.read_record()
        seed = int(record.options.get("seed", 0))
        return Opened(load_keras(folder.model), record.input, record.class_names, seed)
    model = load_keras(path)
    return Opened(model, _input_of(model), tuple(str(index) for index in range(model.output_shape[-1])))


def _input_of(model: keras.Model) -> InputSpec:
    shape = model.input_shape
    if not isinstance(shape, tuple) or len(shape) != 4 or None in shape[1:] or shape[3] not in (1, 3):
        raise FailedPrecondition(f"the network must take images of a fixed size, not {shape}")
    return InputSpec(
        tensor=model.inputs[0].name,
        height=shape[1],
        width=shape[2],
        color_mode=COLOR_MODE_GREY if shape[3] == 1 else COLOR_MODE_RGB,
        value_range=ValueRange(minimum=0, maximum=255),
        resize=RESIZE_RULE_STRETCH,
    )
