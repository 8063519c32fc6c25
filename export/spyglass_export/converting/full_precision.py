"""Conversion of a network trained in mixed precision to float32, the type of its weights."""

from __future__ import annotations

import re

import keras


def in_float32(model: keras.Model) -> keras.Model:
    """Return `model` if all of it computes in float32, and otherwise an equal network that does."""
    description = model.to_json()
    plain = re.sub(r'"mixed_b?float16"', '"float32"', description)
    if plain == description:
        return model
    rebuilt = keras.models.model_from_json(plain)
    rebuilt.set_weights(model.get_weights())
    return rebuilt
