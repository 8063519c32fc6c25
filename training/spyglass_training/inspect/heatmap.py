"""Grad-CAM by TensorFlow's gradients: the regions of an image that support a class.

R. Selvaraju et al., Grad-CAM (2017), and F. Chollet, Deep Learning with Python, second edition (2021),
section 9.4.3: relu(mean_k(A_k · mean_xy ∂score/∂A_k)) over the channels A_k of the last feature map, divided
by its maximum. The score is the logit, because the gradient of the probability vanishes near 0 and 1. Tests
compare the heatmap of an exported file with this one.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers
from numpy.typing import NDArray

from spyglass.v1.model_pb2 import InputSpec
from spyglass_contract.errors import FailedPrecondition, NotFound
from spyglass_contract.heatmaps.overlay import draw_overlay, map_to_image
from spyglass_contract.images.decode import decode
from spyglass_contract.images.geometry import input_box, place
from spyglass_contract.images.pixels import DEFAULT_LIMITS
from spyglass_training.inspect.flat import FlatNetwork, Step, flatten
from spyglass_training.inspect.gradients import require_tensorflow
from spyglass_training.inspect.sheets import save

# The outputs of these layers show the same features again: pooled, masked or moved.
_REPEATING = (
    layers.MaxPooling2D,
    layers.AveragePooling2D,
    layers.Dropout,
    layers.SpatialDropout2D,
    layers.ZeroPadding2D,
    layers.Cropping2D,
)


@dataclass(frozen=True)
class Heatmap:
    """A heatmap for a class, and the probabilities."""

    # float32 [rows, columns], 0 to 1, over the network's input.
    values: NDArray[np.float32]
    layer: str
    class_index: int
    # float32 [classes].
    probabilities: NDArray[np.float32]


def compute_heatmap(
    model: keras.Model, pixels: NDArray[np.uint8], *, class_index: int | None = None, layer: str | None = None
) -> Heatmap:
    """Explain a class, by default the predicted one, by a layer's feature maps, by default the last ones.

    `pixels` are uint8 [height, width, channels], the network's input. A network with a single output has two
    classes; the output is the probability of the second. Raises NotFound if there is no such layer or class,
    and FailedPrecondition if the network is not a classifier with feature maps or Keras does not run on
    TensorFlow.
    """
    require_tensorflow()
    network = flatten(model)
    step = _last_map(network) if layer is None else network.step(layer)
    logits = _logits(network)
    if len(logits.shape) != 2:
        raise FailedPrecondition(
            f"{model.name} is not a classifier: it has no class scores for the whole image"
        )
    if not step.is_map:
        raise FailedPrecondition(f"layer {step.name!r} has no feature maps")
    image = pixels[np.newaxis].astype(np.float32)
    maps_and_scores = network.model_to([step.output, logits])
    output = network.model_to(network.steps[-1].output)(image, training=False)
    probabilities = _of_both_classes(np.asarray(output).ravel())
    target = int(probabilities.argmax()) if class_index is None else class_index
    if not 0 <= target < len(probabilities):
        raise NotFound(
            f"the class must be in 0 to {len(probabilities) - 1}, not {target}", reason="CLASS_NOT_FOUND"
        )
    return Heatmap(_gradcam(maps_and_scores, image, target), step.name, target, probabilities)


def _gradcam(maps_and_scores: keras.Model, image: NDArray[np.float32], target: int) -> NDArray[np.float32]:
    import tensorflow

    watched = tensorflow.constant(image)
    with tensorflow.GradientTape() as tape:
        # The tape records trainable weights only; the image must be watched.
        tape.watch(watched)
        maps, scores = maps_and_scores(watched, training=False)
        score = _score(scores, target)
    gradient = tape.gradient(score, maps)
    if gradient is None:
        raise FailedPrecondition("the class scores do not depend on that layer")
    weights = tensorflow.reduce_mean(gradient, axis=(1, 2), keepdims=True)
    heat = np.asarray(tensorflow.nn.relu(tensorflow.reduce_mean(maps * weights, axis=-1)))[0]
    return heat / max(heat.max(), 1e-12)


def draw_heatmap(heatmap: Heatmap, image: bytes, spec: InputSpec, path: Path) -> None:
    """Write the upright image at full size, with the heatmap over it, as a PNG."""
    upright, _ = decode(image, DEFAULT_LIMITS)
    box = input_box(place(*upright.size, spec), spec)
    values = map_to_image(heatmap.values, box, *upright.size)
    save(draw_overlay(upright, values), path)


def _score(scores: Any, target: int) -> Any:
    """Return the class's logit; a single logit counts for the second class and against the first."""
    if scores.shape[1] > 1:
        return scores[:, target]
    return scores[:, 0] if target == 1 else -scores[:, 0]


def _of_both_classes(output: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.array([1 - output[0], output[0]], np.float32) if len(output) == 1 else output


def _last_map(network: FlatNetwork) -> Step:
    for step in reversed(network.steps):
        if step.is_map and not isinstance(step.layer, _REPEATING):
            return step
    raise FailedPrecondition("the network has no feature maps")


def _logits(network: FlatNetwork) -> keras.KerasTensor:
    """Return the class scores before the last softmax or sigmoid."""
    last = network.steps[-1]
    if isinstance(last.layer, layers.Activation | layers.Softmax):
        return last.inputs[0]
    return last.before_activation()
