"""A network that was trained in mixed precision, in float32: its weights always were."""

from __future__ import annotations

import re

import keras


def in_float32(model: keras.Model) -> keras.Model:
    """`model` itself where it computes in float32 throughout, or else its equal that does."""
    description = model.to_json()
    plain = re.sub(r'"mixed_b?float16"', '"float32"', description)
    if plain == description:
        return model
    rebuilt = keras.models.model_from_json(plain)
    rebuilt.set_weights(model.get_weights())
    return rebuilt
