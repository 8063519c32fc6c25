"""Training runs of small untrained networks: an export does not depend on accuracy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from spyglass.v1.model_pb2 import COLOR_MODE_RGB, RESIZE_RULE_STRETCH, InputSpec, ValueRange
from spyglass_contract.model.run_folder import DataRecord, RunFolder, RunRecord

SPEC = InputSpec(
    tensor="image",
    height=12,
    width=16,
    color_mode=COLOR_MODE_RGB,
    value_range=ValueRange(minimum=0, maximum=255),
    resize=RESIZE_RULE_STRETCH,
)


@pytest.fixture
def make_run(tmp_path: Path) -> Callable[..., RunFolder]:
    """The run of a network of three classes whose body is the given Keras layers, in order."""
    keras = pytest.importorskip("keras")
    pytest.importorskip("tf2onnx")

    def make(*layers: Any, class_names: tuple[str, ...] = ("red", "green", "blue")) -> RunFolder:
        keras.utils.set_random_seed(0)
        image = x = keras.Input((SPEC.height, SPEC.width, 3), dtype="uint8", name="image")
        for layer in (keras.layers.Rescaling(1 / 255), *layers, keras.layers.GlobalAveragePooling2D()):
            x = layer(x)
        model = keras.Model(image, keras.layers.Dense(3, activation="softmax")(x))
        folder = RunFolder(tmp_path / "run")
        folder.create()
        folder.golden.mkdir()
        model.save(folder.model)
        Image.linear_gradient("L").convert("RGB").save(folder.golden / "gradient.png")
        folder.write_record(run_record(model.count_params(), class_names))
        return folder

    return make


def run_record(parameters: int, class_names: tuple[str, ...]) -> RunRecord:
    return RunRecord(
        architecture="small",
        description="A small network.",
        parameters=parameters,
        input=SPEC,
        class_names=class_names,
        data=DataRecord("nothing", "CC0-1.0", "0" * 64),
        options={},
        library_versions={},
        epochs=(),
        metrics={"test_accuracy": 0.25},
        created="2026-01-01T00:00:00+00:00",
        seconds=0.0,
    )
