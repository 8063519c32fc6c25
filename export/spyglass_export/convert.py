"""A Keras model to an ONNX graph."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import keras
import onnx
import tensorflow
import tf2onnx

from spyglass.v1.model_pb2 import ModelCard
from spyglass_contract.card import PROBABILITIES
from spyglass_contract.errors import ModelError
from spyglass_contract.pixels import channels

# At 18 a global average pooling becomes a ReduceMean and a Transpose; at 17 it stays a pooling.
OPSET = 17


def convert(model: keras.Model, card: ModelCard) -> onnx.ModelProto:
    """The graph of `model` in inference, with the input that `card` states and the output `probabilities`.

    uint8 [batch, height, width, channels] to float32 [batch, classes]. Raises ModelError where the model has
    other shapes, or an operation that ONNX lacks.
    """
    _check_shapes(model, card)
    shape = (None, *model.input_shape[1:])
    signature = tensorflow.TensorSpec(shape, tensorflow.uint8, name=card.input.tensor)

    # Without `training=False` layers of augmentation are traced as in training.
    def infer(pixels: tensorflow.Tensor) -> dict[str, tensorflow.Tensor]:
        return {PROBABILITIES: model(pixels, training=False)}

    # Autograph would rewrite Keras's own control flow.
    function = tensorflow.function(infer, autograph=False, input_signature=[signature])
    with _logged_errors_raised():
        graph, _ = tf2onnx.convert.from_function(function, input_signature=[signature], opset=OPSET)
    return graph


def _check_shapes(model: keras.Model, card: ModelCard) -> None:
    if keras.backend.backend() != "tensorflow":
        raise ModelError("only Keras's TensorFlow backend exports: set KERAS_BACKEND=tensorflow")
    spec = card.input
    wanted = (None, spec.height, spec.width, channels(spec)), (None, len(card.class_names))
    if (model.input_shape, model.output_shape) != wanted:
        raise ModelError(
            f"the network goes from {model.input_shape} to {model.output_shape}, "
            f"where the run's record says {wanted[0]} to {wanted[1]}"
        )


@contextmanager
def _logged_errors_raised() -> Iterator[None]:
    """tf2onnx logs what it cannot convert, and writes a broken graph all the same."""
    errors = _ErrorMessages()
    logger = logging.getLogger("tf2onnx")
    logger.addHandler(errors)
    try:
        yield
    finally:
        logger.removeHandler(errors)
    if errors.messages:
        raise ModelError(f"the network does not convert to ONNX: {'; '.join(errors.messages)}")


class _ErrorMessages(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())
