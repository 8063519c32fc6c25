"""Checks that a model file must pass before it may be served."""

from __future__ import annotations

import numpy as np

from spyglass.v1.model_pb2 import ModelCard
from spyglass_contract.errors import CertificateError
from spyglass_contract.model.certificate import Run, export_tolerance, golden_tensor, kept, verify
from spyglass_contract.onnx_runtime import onnxruntime
from spyglass_export.proving.heatmaps import prove_heatmaps
from spyglass_export.session import runner, takes_one_image


def prove(session: onnxruntime.InferenceSession, card: ModelCard) -> None:
    """Check that a file returns the outputs that its card expects, for single images and for a batch.

    A graph that declares a batch of one image is not run on a batch.
    Heatmaps have no reference, so they are checked for consistency: see `prove_heatmaps`. Raises
    CertificateError if a check fails.
    """
    run = runner(session, card)
    verify(card, run, export_tolerance(card))
    if not takes_one_image(session, card):
        _prove_batch(card, run)
    prove_heatmaps(session, card)


def _prove_batch(card: ModelCard, run: Run) -> None:
    """A graph can be right for one image and still mix the images of a batch, or reject a batch."""
    tensors = card.certificate.tensors
    expected = np.array([golden.expected for golden in tensors], np.float32)
    outputs = run(np.concatenate([golden_tensor(golden.seed, card.input) for golden in tensors]))
    found = np.array([kept(output[np.newaxis]) for output in outputs])
    together = f"the outputs for {len(tensors)} golden tensors in one batch"
    if found.shape != expected.shape:
        raise CertificateError(f"{together} are {list(found.shape)}, not {list(expected.shape)}")
    difference, allowed = float(np.abs(found - expected).max()), export_tolerance(card)
    if difference > allowed:
        raise CertificateError(
            f"{together} differ from the certificate's by {difference:.2g}, more than {allowed:.0e}"
        )
