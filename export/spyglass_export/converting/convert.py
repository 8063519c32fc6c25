"""Conversion of a Keras network to an ONNX graph."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import keras
import onnx
import tensorflow
import tf2onnx

from spyglass.v1.model_pb2 import TASK_CLASSIFY, TASK_SEGMENT, ModelCard, Task
from spyglass_contract.errors import ModelError
from spyglass_contract.images.input_spec import channels
from spyglass_contract.model.card import PROBABILITIES

# In opset 18 a global average pooling becomes a ReduceMean and a Transpose; in 17 it stays a pooling.
OPSET = 17


def convert(model: keras.Model, card: ModelCard) -> onnx.ModelProto:
    """Return the inference graph of `model`, with the card's input and the output `probabilities`.

    The graph goes from uint8 [batch, height, width, channels] to float32 [batch, classes], or to [batch,
    height, width, classes] for segmentation. A single sigmoid output p becomes [1 - p, p]. Raises ModelError
    if the shapes of `model` differ from the card, or if ONNX lacks one of its operations.
    """
    _check_shapes(model, card)
    shape = (None, *model.input_shape[1:])
    signature = tensorflow.TensorSpec(shape, tensorflow.uint8, name=card.input.tensor)

    # Without `training=False` TensorFlow traces augmentation layers as in training.
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
        raise ModelError("export needs Keras's TensorFlow backend: set KERAS_BACKEND=tensorflow")
    spec, outputs = card.input, _outputs(card)
    input_shape = (None, spec.height, spec.width, channels(spec))
    if model.input_shape != input_shape or model.output_shape not in outputs:
        raise ModelError(
            f"by the run's record the network must go from {input_shape} to {outputs[0]}, "
            f"not from {model.input_shape} to {model.output_shape}"
        )


def _outputs(card: ModelCard) -> list[tuple[int | None, ...]]:
    """The allowed shapes of the network's output."""
    classes = len(card.class_names)
    if card.task == TASK_SEGMENT:
        return [(None, card.input.height, card.input.width, classes)]
    if card.task == TASK_CLASSIFY:
        return [(None, classes), (None, 1)] if classes == 2 else [(None, classes)]
    raise ModelError(f"cannot export a model of the task {Task.Name(card.task)}")


@contextmanager
def _logged_errors_raised() -> Iterator[None]:
    """tf2onnx logs the operations that it cannot convert, and returns a broken graph."""
    errors = _ErrorMessages()
    logger = logging.getLogger("tf2onnx")
    logger.addHandler(errors)
    try:
        yield
    finally:
        logger.removeHandler(errors)
    if errors.messages:
        raise ModelError(f"cannot convert the network to ONNX: {'; '.join(errors.messages)}")


class _ErrorMessages(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())
