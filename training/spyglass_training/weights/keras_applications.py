"""Published networks of `keras.applications` with their weights."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras

from spyglass_contract.errors import ModelError, NotFound


def build_application(application: Callable[..., keras.Model], weights: str, **options: Any) -> keras.Model:
    """Build an application without its classifier, from images to features [batch, features].

    `weights` is `none` for random ones, `imagenet` for those that Keras downloads and keeps, or the path of a
    file as Keras publishes it (`…_notop.h5`). `options` go to the application. Raises NotFound if the file is
    missing or the download fails, and ModelError if the weights belong to another network.
    """

    def build(given: str | None) -> keras.Model:
        return application(include_top=False, weights=given, pooling="avg", **options)

    if weights == "none":
        return build(None)
    if weights != "imagenet" and not Path(weights).is_file():
        raise NotFound(f"there is no file {weights}", reason="NO_WEIGHTS", field="weights")
    try:
        with warnings.catch_warnings():
            # Keras only warns about layers that the file lacks, and leaves them at random.
            warnings.filterwarnings("error", ".*freshly-initialized", UserWarning)
            return build(weights)
    except (ValueError, UserWarning) as error:
        reason = str(error).strip().partition("\n")[0]
        raise ModelError(f"the weights {weights} do not fit the network: {reason}") from error
    # Keras raises a bare Exception if a download fails.
    except Exception as error:
        raise NotFound(
            f"cannot get the weights {weights}: {error}", reason="NO_WEIGHTS", field="weights"
        ) from error
