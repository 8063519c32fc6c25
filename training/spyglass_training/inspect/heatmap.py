"""Where in an image a network saw a class: Grad-CAM by TensorFlow's gradients.

R. Selvaraju et al., Grad-CAM (2017), and F. Chollet, Deep Learning with Python, second edition (2021),
section 9.4.3: relu(mean_k(A_k · mean_xy ∂score/∂A_k)) over the channels A_k of the last feature map, divided
by its maximum. The score is the logit and not the probability, whose gradient vanishes near 0 and 1. This is
the reference for the heatmap that an exported file computes by itself.
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

# What these make shows the same features again, pooled, masked or moved about.
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
    """What speaks for a class, and where."""

    # float32 [rows, columns], 0 to 1, over the network's input.
    values: NDArray[np.float32]
    layer: str
    class_index: int
    # float32 [classes].
    probabilities: NDArray[np.float32]


def compute_heatmap(
    model: keras.Model, pixels: NDArray[np.uint8], *, class_index: int | None = None, layer: str | None = None
) -> Heatmap:
    """Explains a class, by default the predicted one, by a layer's feature maps, by default the last ones.

    `pixels` are uint8 [height, width, channels], the network's input. A network with a single output has two
    classes, and the second is the one it names. Raises NotFound where there is no such layer or class, and
    FailedPrecondition where the network is no classifier on feature maps or Keras does not run on TensorFlow.
    """
    require_tensorflow()
    network = flatten(model)
    step = _last_map(network) if layer is None else network.step(layer)
    logits = _logits(network)
    if len(logits.shape) != 2:
        raise FailedPrecondition(f"{model.name} has no class scores for an image as a whole")
    if not step.is_map:
        raise FailedPrecondition(f"layer {step.name!r} has no feature maps")
    image = pixels[np.newaxis].astype(np.float32)
    maps_and_scores = network.model_to([step.output, logits])
    answer = network.model_to(network.steps[-1].output)(image, training=False)
    probabilities = _of_both_classes(np.asarray(answer).ravel())
    target = int(probabilities.argmax()) if class_index is None else class_index
    if not 0 <= target < len(probabilities):
        raise NotFound(f"class {target} is none of the {len(probabilities)}", reason="CLASS_NOT_FOUND")
    return Heatmap(_gradcam(maps_and_scores, image, target), step.name, target, probabilities)


def _gradcam(maps_and_scores: keras.Model, image: NDArray[np.float32], target: int) -> NDArray[np.float32]:
    import tensorflow

    watched = tensorflow.constant(image)
    with tensorflow.GradientTape() as tape:
        # Frozen weights are not recorded; what hangs on the image is.
        tape.watch(watched)
        maps, scores = maps_and_scores(watched, training=False)
        score = _score(scores, target)
    gradient = tape.gradient(score, maps)
    if gradient is None:
        raise FailedPrecondition("the class scores do not hang on that layer")
    weights = tensorflow.reduce_mean(gradient, axis=(1, 2), keepdims=True)
    heat = np.asarray(tensorflow.nn.relu(tensorflow.reduce_mean(maps * weights, axis=-1)))[0]
    return heat / max(heat.max(), 1e-12)


def draw_heatmap(heatmap: Heatmap, image: bytes, spec: InputSpec, path: Path) -> None:
    """Writes the whole image, upright and at full size, with the map over it, as a PNG."""
    upright, _ = decode(image, DEFAULT_LIMITS)
    box = input_box(place(*upright.size, spec), spec)
    values = map_to_image(heatmap.values, box, *upright.size)
    save(draw_overlay(upright, values), path)


def _score(scores: Any, target: int) -> Any:
    """The class's own logit; a single one speaks for the second class and against the first."""
    if scores.shape[1] > 1:
        return scores[:, target]
    return scores[:, 0] if target == 1 else -scores[:, 0]


def _of_both_classes(answer: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.array([1 - answer[0], answer[0]], np.float32) if len(answer) == 1 else answer


def _last_map(network: FlatNetwork) -> Step:
    for step in reversed(network.steps):
        if step.is_map and not isinstance(step.layer, _REPEATING):
            return step
    raise FailedPrecondition("the network makes no feature maps")


def _logits(network: FlatNetwork) -> keras.KerasTensor:
    """The class scores before the last softmax or sigmoid."""
    last = network.steps[-1]
    if isinstance(last.layer, layers.Activation | layers.Softmax):
        return last.inputs[0]
    return last.before_activation()
