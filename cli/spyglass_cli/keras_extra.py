"""What the commands that run Keras need before they import it."""

from __future__ import annotations

import os

from spyglass_cli.extras import require


def require_keras() -> None:
    """Makes sure that the extra `training` is installed, and that TensorFlow keeps its notes to itself.

    Raises MissingExtra, which ends the command, where a package is missing.
    """
    for module in ("keras", "tensorflow", "tf2onnx", "matplotlib"):
        require("training", module)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
