"""Sessions of ONNX Runtime on the CPU, with its errors as this package's own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spyglass.v1.model_pb2 import ModelCard
from spyglass_contract.errors import CertificateError, ModelError
from spyglass_contract.model.card import PROBABILITIES
from spyglass_contract.model.certificate import Run
from spyglass_contract.onnx_runtime import onnxruntime
from spyglass_export.runtime_errors import first_sentence
from spyglass_export.session_options import session_options


def open_session(source: bytes | Path, *, optimised: bool = True) -> onnxruntime.InferenceSession:
    """Open a model file, or its bytes, on the CPU, with or without optimisations of its graph.

    Raises ModelError if ONNX Runtime rejects it.
    """
    model = source if isinstance(source, bytes) else str(source)
    levels = onnxruntime.GraphOptimizationLevel
    options = session_options(levels.ORT_ENABLE_ALL if optimised else levels.ORT_DISABLE_ALL)
    # ONNX Runtime's exceptions have no common base class, here and below.
    try:
        # Without a fallback: it would print the error, and try the same provider again.
        return onnxruntime.InferenceSession(
            model, options, providers=["CPUExecutionProvider"], enable_fallback=0
        )
    except Exception as error:
        raise ModelError(f"ONNX Runtime cannot load the network: {first_sentence(error)}") from error


def runner(session: onnxruntime.InferenceSession, card: ModelCard) -> Run:
    """Return a function from pixels to probabilities. It raises CertificateError if the session fails."""

    def run(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        try:
            return session.run([PROBABILITIES], {card.input.tensor: pixels})[0]
        except Exception as error:
            raise CertificateError(
                f"the network fails on an input of shape {list(pixels.shape)}: {first_sentence(error)}"
            ) from error

    return run


def takes_one_image(session: onnxruntime.InferenceSession, card: ModelCard) -> bool:
    """Return whether the graph declares a batch of one image."""
    return any(value.name == card.input.tensor and value.shape[:1] == [1] for value in session.get_inputs())
