"""Xception and EfficientNetV2-B0 as `keras.applications` has them, under a classifier of our own.

F. Chollet, Xception: Deep Learning with Depthwise Separable Convolutions (2016), 22,910,480 parameters on a
thousand classes; M. Tan and Q. V. Le, EfficientNetV2: Smaller Models and Faster Training (2021), 7,200,312.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import keras
from keras import layers

from spyglass.v1.model_pb2 import InputSpec
from spyglass_contract.errors import ModelError, NotFound
from spyglass_training.models.augmentation import NONE, augmented
from spyglass_training.models.classifier_head import classifier_head
from spyglass_training.models.image_input import as_rgb, image_input, photograph

XCEPTION_INPUT = photograph(299)
EFFICIENTNET_V2_B0_INPUT = photograph(224)


def build_xception(
    spec: InputSpec,
    class_count: int,
    *,
    weights: str = "none",
    freeze: bool = False,
    augment: str = NONE,
    dropout: float = 0.0,
) -> keras.Model:
    """uint8 pixels as `spec` states them to float32 probabilities [batch, class_count], of two [batch, 1].

    `weights` of all but the classifier: `none`, `imagenet`, which Keras fetches and keeps, or a file as Keras
    publishes them (`…_notop.h5`). `freeze` leaves them as they are. Raises NotFound where there are none to
    be had, and ModelError where they are of another network.
    """
    image = image_input(spec)
    x = layers.Rescaling(1 / 127.5, offset=-1, name="rescaling")(as_rgb(image))
    x = augmented(x, augment, (-1.0, 1.0))
    base = _base(keras.applications.Xception, x, weights)
    base.trainable = not freeze
    x = layers.Dropout(dropout, name="dropout")(base.output)
    return keras.Model(image, classifier_head(x, class_count), name="xception")


def build_efficientnet_v2_b0(
    spec: InputSpec,
    class_count: int,
    *,
    weights: str = "none",
    freeze: bool = False,
    augment: str = NONE,
    dropout: float = 0.2,
) -> keras.Model:
    """As `build_xception`. The network has its preprocessing in itself."""
    image = image_input(spec)
    x = augmented(as_rgb(image), augment, (0.0, 255.0))
    base = _base(keras.applications.EfficientNetV2B0, x, weights)
    base.trainable = not freeze
    x = layers.Dropout(dropout, name="dropout")(base.output)
    return keras.Model(image, classifier_head(x, class_count), name="efficientnet_v2_b0")


def _base(application: Callable[..., keras.Model], x: keras.KerasTensor, weights: str) -> keras.Model:
    def build(given: str | None) -> keras.Model:
        return application(include_top=False, weights=given, input_tensor=x, pooling="avg")

    if weights == "none":
        return build(None)
    if weights != "imagenet" and not Path(weights).is_file():
        raise NotFound(f"there is no file {weights}", reason="NO_WEIGHTS", field="weights")
    try:
        with warnings.catch_warnings():
            # Keras warns where the file lacks layers, and goes on with noise in them.
            warnings.filterwarnings("error", ".*freshly-initialized", UserWarning)
            return build(weights)
    except (ValueError, UserWarning) as error:
        reason = str(error).strip().partition("\n")[0]
        raise ModelError(f"the weights {weights} do not fit the network: {reason}") from error
    # Keras raises a bare Exception where a download fails.
    except Exception as error:
        raise NotFound(f"no weights {weights}: {error}", reason="NO_WEIGHTS", field="weights") from error
