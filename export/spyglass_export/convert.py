"""A Keras model to an ONNX graph."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import keras
import onnx
import tensorflow
import tf2onnx

from spyglass.v1.model_pb2 import TASK_SEGMENT, ModelCard
from spyglass_contract.errors import ModelError
from spyglass_contract.images.input_spec import channels
from spyglass_contract.model.card import PROBABILITIES

# At 18 a global average pooling becomes a ReduceMean and a Transpose; at 17 it stays a pooling.
OPSET = 17


def convert(model: keras.Model, card: ModelCard) -> onnx.ModelProto:
    """The graph of `model` in inference, with the input that `card` states and the output `probabilities`.

    uint8 [batch, height, width, channels] to float32 [batch, classes], or [batch, height, width, classes]
    where it segments. A single sigmoid output p becomes [1 - p, p]. Raises ModelError where the model has
    other shapes, or an operation that ONNX lacks.
    """
    _check_shapes(model, card)
    shape = (None, *model.input_shape[1:])
    signature = tensorflow.TensorSpec(shape, tensorflow.uint8, name=card.input.tensor)

    # Without `training=False` layers of augmentation are traced as in training.
    def infer(pixels: tensorflow.Tensor) -> dict[str, tensorflow.Tensor]:
        output = model(pixels, training=False)
        if output.shape[1:] == (1,):
            output = tensorflow.concat([1 - output, output], axis=-1)
        return {PROBABILITIES: output}

    # Autograph would rewrite Keras's own control flow.
    function = tensorflow.function(infer, autograph=False, input_signature=[signature])
    with _logged_errors_raised():
        graph, _ = tf2onnx.convert.from_function(function, input_signature=[signature], opset=OPSET)
    return graph


def _check_shapes(model: keras.Model, card: ModelCard) -> None:
    if keras.backend.backend() != "tensorflow":
        raise ModelError("only Keras's TensorFlow backend exports: set KERAS_BACKEND=tensorflow")
    spec = card.input
    wanted_input = (None, spec.height, spec.width, channels(spec))
    if model.input_shape != wanted_input or model.output_shape not in _outputs(card):
        raise ModelError(
            f"the network goes from {model.input_shape} to {model.output_shape}, "
            f"where the run's record says {wanted_input} to {_outputs(card)[0]}"
        )


def _outputs(card: ModelCard) -> list[tuple[int | None, ...]]:
    """The shapes that the network's output may have."""
    classes = len(card.class_names)
    if card.task == TASK_SEGMENT:
        return [(None, card.input.height, card.input.width, classes)]
    return [(None, classes), (None, 1)] if classes == 2 else [(None, classes)]


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
