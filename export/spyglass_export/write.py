"""Puts a model file in its place, once it has proved itself."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import onnx

from spyglass.v1.model_pb2 import ModelCard
from spyglass_contract.errors import ModelError
from spyglass_contract.model.card import read_card, write_card
from spyglass_contract.model.certificate import replay
from spyglass_export.prove import open_session, prove, runner
from spyglass_export.prove_heatmaps import prove_heatmaps

FILE_NAME = "model.onnx"


def version_folder(out: Path) -> Path:
    """The folder NAME/VERSION, whether `out` names it or the model file that goes into it."""
    return out.parent if out.name == FILE_NAME else out


def file_to_write(target: Path, *, force: bool) -> Path:
    """The model file in the folder `target`. Raises ModelError where there is one already, unless `force`."""
    file = target / FILE_NAME
    if file.exists() and not force:
        raise ModelError(f"{file} exists; give the model another version, or overwrite it with --force")
    return file


def write_proven(model: onnx.ModelProto, card: ModelCard, target: Path) -> None:
    """Writes `model` with `card` to `target`, in one step and only if it answers as its certificate says.

    Notes in `card` the largest difference found, and what came of its heatmaps. Raises ModelError where the
    graph is not valid ONNX, and CertificateError where it answers otherwise, or its heatmaps do not hold
    together; then nothing is left on disk.
    """
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise ModelError(f"the graph is not valid ONNX: {error}") from error
    unsaved = open_session(model.SerializeToString())
    card.certificate.max_abs_diff = replay(card, runner(unsaved, card)).max_abs_diff
    examined = prove_heatmaps(unsaved, card)
    card.certificate.heatmaps, card.certificate.zero_heatmaps = examined.maps, examined.zero
    write_card(model, card)
    with _in_place_of(target) as temporary:
        temporary.write_bytes(model.SerializeToString())
        session = open_session(temporary)
        prove(session, read_card(session))


@contextmanager
def _in_place_of(target: Path) -> Iterator[Path]:
    """A path beside `target`; what lies there at the end takes its place, unless something went wrong."""
    made = [folder for folder in target.parents if not folder.exists()]
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        yield temporary
        os.replace(temporary, target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        for folder in made:
            folder.rmdir()
        raise
