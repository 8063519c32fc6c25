"""What a model file must show before it may be served."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from spyglass.v1.model_pb2 import ModelCard
from spyglass_contract.errors import CertificateError, ModelError
from spyglass_contract.model.card import PROBABILITIES
from spyglass_contract.model.certificate import EXPORT_TOLERANCE, Run, golden_tensor, kept, verify
from spyglass_export.prove_heatmaps import prove_heatmaps
from spyglass_export.runtime_errors import first_sentence


def prove(session: onnxruntime.InferenceSession, card: ModelCard) -> None:
    """Raises CertificateError unless the file answers as `card` says, images one by one and in a batch.

    Its heatmaps have nothing to be compared with, but must hold together: see `prove_heatmaps`.
    """
    run = runner(session, card)
    verify(card, run, EXPORT_TOLERANCE)
    _prove_batch(card, run)
    prove_heatmaps(session, card)


def open_session(source: bytes | Path) -> onnxruntime.InferenceSession:
    """A session on the CPU, of a file or its bytes. Raises ModelError where ONNX Runtime refuses it."""
    model = source if isinstance(source, bytes) else str(source)
    options = onnxruntime.SessionOptions()
    # Without its warnings, for that `class_index` may be overridden is the point of it; errors are raised.
    options.log_severity_level = 4
    # ONNX Runtime's exceptions have no base of their own, here and below.
    try:
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise ModelError(f"ONNX Runtime does not load the network: {first_sentence(error)}") from error


def runner(session: onnxruntime.InferenceSession, card: ModelCard) -> Run:
    """Asks a session for probabilities. What it returns raises CertificateError where the graph breaks."""

    def run(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        try:
            return session.run([PROBABILITIES], {card.input.tensor: pixels})[0]
        except Exception as error:
            raise CertificateError(
                f"the network does not take {list(pixels.shape)}: {first_sentence(error)}"
            ) from error

    return run


def _prove_batch(card: ModelCard, run: Run) -> None:
    """A graph can be right for one image and mix up several, or refuse them."""
    tensors = card.certificate.tensors
    expected = np.array([golden.expected for golden in tensors], np.float32)
    answers = run(np.concatenate([golden_tensor(golden.seed, card.input) for golden in tensors]))
    found = np.array([kept(answer[np.newaxis]) for answer in answers])
    if found.shape != expected.shape or np.abs(found - expected).max() > EXPORT_TOLERANCE:
        raise CertificateError(f"the answers to {len(tensors)} golden tensors in one batch differ")
