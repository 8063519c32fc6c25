"""Recipes of quantisation, and the graph that a recipe gives."""

from __future__ import annotations

import contextlib
import io
import tempfile
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QDQQuantizer,
    QuantType,
    create_calibrator,
)
from onnxruntime.quantization.registry import QDQRegistry, QLinearOpsRegistry

from spyglass_contract.errors import ModelError

# Images whose intermediate numbers are in memory at a time.
_CHUNK = 8
_OPERATORS = sorted({*QDQRegistry, *QLinearOpsRegistry})


@dataclass(frozen=True)
class Recipe:
    """How the scales of a network's numbers are computed. Weights have one scale for each channel.

    `percentile` cuts the largest and smallest activations off; None takes the range of all. Nodes named in
    `kept` stay in float32 although they could be quantised.
    """

    name: str
    percentile: float | None = None
    # Weights of 7 bits: processors without VNNI add products of 8 bits in 16, which can overflow.
    seven_bits: bool = False
    kept: tuple[str, ...] = ()

    def in_seven_bits(self) -> Recipe:
        """Return the recipe with weights of 7 bits."""
        return replace(self, name=f"{self.name}, 7-bit weights", seven_bits=True)

    def keeping(self, nodes: Iterable[str]) -> Recipe:
        """Return the recipe with these nodes in float32."""
        kept = tuple(nodes)
        nodes_text = "1 node" if len(kept) == 1 else f"{len(kept)} nodes"
        return replace(self, name=f"{self.name}, {nodes_text} in float32", kept=kept)


RECIPES = (
    Recipe("per channel, min-max"),
    Recipe("per channel, percentile 99.999", 99.999),
    Recipe("per channel, percentile 99.99", 99.99),
    Recipe("per channel, percentile 99.9", 99.9),
)

Ranges = Any
"""The range of each tensor: ONNX Runtime's `TensorsData`."""


def measure_ranges(model: onnx.ModelProto, images: NDArray[np.uint8], percentile: float | None) -> Ranges:
    """Run `model` on images, uint8 [count, height, width, channels], and return the ranges of its tensors.

    Raises ModelError if the network fails.
    """
    method = CalibrationMethod.MinMax if percentile is None else CalibrationMethod.Percentile
    options = {} if percentile is None else {"percentile": percentile}
    with _quiet(), tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "network.onnx"
        onnx.save(model, file)
        # ONNX Runtime's exceptions have no common base class.
        try:
            calibrator = create_calibrator(
                file,
                _OPERATORS,
                augmented_model_path=str(Path(folder) / "augmented.onnx"),
                calibrate_method=method,
                extra_options=options,
            )
            for start in range(0, len(images), _CHUNK):
                calibrator.collect_data(_Reader(model, images[start : start + _CHUNK]))
            return calibrator.compute_data()
        except Exception as error:
            raise ModelError(f"the network cannot be calibrated: {error}") from error


def quantised(
    model: onnx.ModelProto,
    ranges: Ranges,
    recipe: Recipe,
    excluded: Collection[str],
    only: Collection[str] = (),
) -> onnx.ModelProto:
    """Return `model` in int8 by `recipe`. Nodes named in `excluded` stay in float32; so do all but `only`.

    Activations are unsigned and weights signed: ONNX Runtime fuses more of such graphs on x86-64 than of
    those with signed activations. Raises ModelError if ONNX Runtime cannot quantise the graph.
    """
    try:
        inferred = onnx.shape_inference.infer_shapes(model)
        quantiser = QDQQuantizer(
            inferred,
            True,
            recipe.seven_bits,
            QuantType.QInt8,
            QuantType.QUInt8,
            ranges,
            list(only),
            [*excluded, *recipe.kept],
            _OPERATORS,
            {},
        )
        quantiser.quantize_model()
    except Exception as error:
        raise ModelError(f"ONNX Runtime cannot quantise the network: {error}") from error
    made: onnx.ModelProto = quantiser.model.model
    del made.metadata_props[:]
    return made


class _Reader(CalibrationDataReader):
    """Images one by one, as the quantisation tools read them."""

    def __init__(self, model: onnx.ModelProto, images: NDArray[np.uint8]) -> None:
        self._name = model.graph.input[0].name
        self._images = iter(images)

    def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
        """Return the next image as a batch of one, None at the end."""
        image = next(self._images, None)
        return None if image is None else {self._name: image[np.newaxis]}


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Swallow what the quantisation tools print."""
    with contextlib.redirect_stdout(io.StringIO()):
        yield
